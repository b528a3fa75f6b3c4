"""Rows that are told without being read, and what makes them be read after all."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session

from sqla_realtime.capture.silence import silence
from sqla_realtime.errors import SchemaUnsendable
from sqla_realtime.schema.publication import Publication
from tests.support.models import Page, PageOut, Project
from tests.support.things import CHANNEL, Selects, Thing, ThingOut, add, capture_of

BIG = 'create shelves/1 Thing 2 {"id":2,"shelf":1,"name":"B","score":null,"at":null,"done":null}'


def test_after_a_statement_of_its_own_the_row_is_read(engine: Engine) -> None:
    capture = capture_of(engine)
    add(capture)
    with capture.sessions.begin() as session:
        session.add(Thing(id=2, shelf=1, name="b"))
        session.flush()
        session.execute(update(Thing).where(Thing.id == 2).values(name="B"))
    assert capture.told() == [[BIG]]


def test_after_raw_sql_it_is_read(engine: Engine) -> None:
    capture = capture_of(engine)
    add(capture)
    with capture.sessions.begin() as session:
        session.add(Thing(id=2, shelf=1, name="b"))
        session.flush()
        session.execute(text("UPDATE thing SET name = 'B' WHERE id = 2"))
    assert capture.told() == [[BIG, f"invalidate {CHANNEL}"]]


def test_after_a_stranger_wrote_on_the_connection_it_is_read(engine: Engine) -> None:
    """Somebody who is not followed shares it: what is told of our row is the row all the same."""
    capture = capture_of(engine)
    add(capture)
    with capture.sessions() as session:
        session.add(Thing(id=2, shelf=1, name="b"))
        session.flush()
        with Session(session.connection()) as stranger:
            stranger.get_one(Thing, 2).name = "B"
            stranger.commit()
        session.commit()
    assert capture.told() == [[BIG]]


def test_after_a_change_in_silence_it_is_read(engine: Engine) -> None:
    capture = capture_of(engine)
    add(capture)
    with capture.sessions.begin() as session:
        session.add(thing := Thing(id=2, shelf=1, name="b"))
        session.flush()
        with silence(capture.hooks):
            thing.name = "B"
            session.flush()
    assert capture.told() == [[BIG]]


def test_after_a_later_flush_it_is_read(engine: Engine) -> None:
    capture = capture_of(engine)
    add(capture)
    with capture.sessions.begin() as session:
        session.add(thing := Thing(id=2, shelf=1, name="b"))
        session.flush()
        thing.name = "B"
    assert capture.told() == [[BIG]]


def test_a_savepoint_takes_the_values_along(engine: Engine) -> None:
    capture = capture_of(engine)
    add(capture)
    with capture.sessions.begin() as session:
        with session.begin_nested() as savepoint:
            session.add(Thing(id=2, shelf=1, name="gone"))
            session.flush()
            savepoint.rollback()
        session.add(Thing(id=2, shelf=1, name="B"))
    assert capture.told() == [[BIG]]


# read="attributes"


def test_an_update_is_told_from_the_object_and_its_place_is_read(engine: Engine) -> None:
    capture = capture_of(engine, read="attributes")
    add(capture)
    with capture.sessions.begin() as session:
        thing = session.get_one(Thing, 1)
        with Selects(engine) as statements:
            thing.name = "B"
            session.flush()
            session.commit()
    assert [each.split()[:4] for each in statements] == [["SELECT", "thing.id,", "thing.shelf", "FROM"]]
    [[line]] = capture.told()
    assert line.startswith("update shelves/1 Thing 1 +name ")
    assert '"name":"B"' in line


def test_a_stale_object_is_told_where_its_row_is(engine: Engine) -> None:
    """It believes to be in the channel that its row has left: readers there must not see what it is now."""
    capture = capture_of(engine, read="attributes")
    add(capture)
    stale = capture.sessions(expire_on_commit=False)
    thing = stale.get_one(Thing, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Thing, 1).shelf = 2
    capture.told()
    thing.name = "B"
    stale.commit()
    stale.close()
    [[line]] = capture.told()
    assert line.startswith("update shelves/2 Thing 1 +name ")
    assert '"shelf":2' in line


def test_what_the_object_does_not_hold_is_read(engine: Engine) -> None:
    capture = capture_of(engine, read="attributes")
    add(capture)
    with capture.sessions.begin() as session:
        thing = session.get_one(Thing, 1)
        thing.name = Thing.name + "!"  # type: ignore[assignment]
    assert '"name":"a!"' in capture.told()[0][0]


def test_beside_a_stored_publication_the_row_is_read(engine: Engine) -> None:
    capture = capture_of(engine, read="attributes")
    second = Publication(Thing, ThingOut, "things/{shelf}")
    capture.registry.publish(second)
    capture.hooks.watch(second)
    add(capture)
    with capture.sessions.begin() as session:
        thing = session.get_one(Thing, 1)
        with Selects(engine) as statements:
            thing.name = "B"
            session.commit()
    assert ["name" in each for each in statements] == [True]
    assert len(capture.told()[0]) == 2


def test_a_schema_that_looks_at_objects_is_refused() -> None:
    class WithPages(BaseModel):
        id: int
        pages: list[PageOut]

    with pytest.raises(SchemaUnsendable, match="plain columns alone"):
        Publication(Project, WithPages, "projects/{id}", read="attributes")
    with pytest.raises(SchemaUnsendable, match="is none of 'stored', 'attributes'"):
        Publication(Page, PageOut, "pages/{id}", read="guess")  # type: ignore[arg-type]
