"""read="attributes": changed rows are told from their objects, in the channels where the rows are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy import Engine, literal, text

from sqla_realtime.errors import SchemaUnsendable
from sqla_realtime.schema.publication import Publication
from tests.capture.spots import HELD, Spot, SpotOut, Tag, TagOut, two_spots
from tests.support.capture import Capture, reads, records


@pytest.fixture
def make(engine: Engine) -> Callable[..., Capture]:
    return two_spots(engine)


def test_an_update_is_told_from_its_object_in_the_channel_of_its_row(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).x = 5
        session.flush()
        with reads(engine, "spot") as sent:
            session.commit()
    assert [each.split("\nFROM")[0] for each in sent] == ["SELECT spot.id, spot.room "]
    assert capture.told() == [['update rooms/1 Spot 1 +x {"id":1,"x":5,"name":"a"}']]


def test_without_a_column_that_decides_the_channel_nothing_is_read(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(Publication(Spot, SpotOut, "spots", read="attributes"))
    with capture.sessions.begin() as session:
        spot = session.get_one(Spot, 1)
        with reads(engine, "spot") as sent:
            spot.x = 5
            session.add(Spot(id=9, x=3))
            session.commit()
    assert sent == []
    assert sorted(capture.told()[0]) == [
        'create spots Spot 9 {"id":9,"x":3,"name":"a"}',
        'update spots Spot 1 +x {"id":1,"x":5,"name":"a"}',
    ]


def test_a_stale_object_is_told_where_its_row_is(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    stale = capture.sessions(expire_on_commit=False)
    spot = stale.get_one(Spot, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).room = 2
    capture.commits()
    spot.x = 5
    stale.commit()
    stale.close()
    assert capture.told() == [['update rooms/2 Spot 1 +x {"id":1,"x":5,"name":"a"}']]


def test_a_stale_object_whose_row_is_gone_is_told_nothing_of(make: Callable[..., Capture], engine: Engine) -> None:
    """Its UPDATE was sent, and undone by a trigger or a statement of the same transaction."""
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).x = 5
        session.flush()
        session.execute(text("DELETE FROM spot WHERE id = 1"))
    assert [each.type for commit in capture.commits() for each in commit.changes if each.record is not None] == []


def test_a_move_is_a_leave_and_an_enter(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).room = 3
    assert capture.told() == [["destroy rooms/1 Spot 1 (leave)", 'create rooms/3 Spot 1 (enter) {"id":1,"x":0,"name":"a"}']]


def test_a_room_that_is_an_expression_is_read(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).room = literal(1) + 2  # type: ignore[assignment]
    assert capture.told() == [["destroy rooms/1 Spot 1 (leave)", 'create rooms/3 Spot 1 (enter) {"id":1,"x":0,"name":"a"}']]


def test_what_the_object_does_not_hold_is_read(make: Callable[..., Capture]) -> None:
    capture = make(HELD, Publication(Tag, TagOut, "tags", read="attributes"))
    with capture.sessions.begin() as session:
        session.add(Tag(id=1))
    capture.commits()
    with capture.sessions.begin() as session:
        session.get_one(Tag, 1).name = "b"
        session.get_one(Spot, 1).x = Spot.x + 7
    assert sorted(map(str, records(capture))) == [
        "{'id': 1, 'spot_id': None, 'saves': 5, 'length': 4, 'name': 'b'}",
        "{'id': 1, 'x': 7, 'name': 'a'}",
    ]


def test_two_flushes_are_told_as_the_later_one_left_the_object(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        spot = session.get_one(Spot, 1)
        spot.x = 5
        session.flush()
        spot.x = 6
        session.flush()
        session.add(new := Spot(id=9))
        session.flush()
        new.name = "b"
        session.flush()
        nested = session.begin_nested()
        new.name = "c"
        session.flush()
        nested.rollback()
    assert capture.told() == [
        ['update rooms/1 Spot 1 +x {"id":1,"x":6,"name":"a"}', 'create rooms/1 Spot 9 {"id":9,"x":0,"name":"b"}']
    ]


def test_a_trigger_is_not_seen_where_objects_are_told_but_its_move_is(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(HELD)
    change = "SET x = 99, room = 4"
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(
                text(f"CREATE TRIGGER moved AFTER UPDATE OF name ON spot BEGIN UPDATE spot {change} WHERE id = new.id; END")
            )
        else:
            connection.execute(
                text(
                    "CREATE FUNCTION moved() RETURNS trigger AS $$ BEGIN new.x := 99; new.room := 4; RETURN new; END $$"
                    " LANGUAGE plpgsql"
                )
            )
            connection.execute(text("CREATE TRIGGER moved BEFORE UPDATE ON spot FOR EACH ROW EXECUTE FUNCTION moved()"))
    with capture.sessions.begin() as session:
        spot = session.get_one(Spot, 1)
        spot.name = "b"
        assert (spot.x, spot.room) == (0, 1)
    assert capture.told() == [['update rooms/4 Spot 1 +name {"id":1,"x":0,"name":"b"}']]


def test_beside_one_that_is_told_as_it_is_stored_both_are(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(HELD, Publication(Spot, SpotOut, "spots"))
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).x = 5
        session.flush()
        with reads(engine, "spot") as sent:
            session.commit()
    assert len(sent) == 1
    assert "spot.name" in sent[0]
    assert sorted(capture.told()[0]) == [
        'update rooms/1 Spot 1 +x {"id":1,"x":5,"name":"a"}',
        'update spots Spot 1 +x {"id":1,"x":5,"name":"a"}',
    ]


class Computing(BaseModel):
    """A hybrid."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    double: int


class Looking(BaseModel):
    """A validator that sees the whole object."""

    id: int

    @model_validator(mode="before")
    @classmethod
    def look(cls, spot: Any) -> Any:
        return {"id": spot.id}


class TagId(BaseModel):
    """A tag's key."""

    id: int


class Related(BaseModel):
    """A relationship."""

    id: int
    tags: list[TagId]


@pytest.mark.parametrize("schema", [Computing, Looking, Related])
def test_a_schema_that_needs_the_object_is_refused(schema: type[BaseModel]) -> None:
    Publication(Spot, schema, "rooms/{room}", expose=("tags",) if schema is Related else ())
    with pytest.raises(SchemaUnsendable, match='read="attributes"'):
        Publication(Spot, schema, "rooms/{room}", read="attributes", expose=("tags",) if schema is Related else ())


def test_an_unknown_way_to_read_is_refused() -> None:
    with pytest.raises(SchemaUnsendable, match="read='memory'"):
        Publication(Spot, SpotOut, "rooms/{room}", read="memory")  # type: ignore[arg-type]
