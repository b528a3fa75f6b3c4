"""Tables of pairs: whose lists a statement changes; the ways through the ORM are in test_relations.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Engine, ForeignKey, Table, bindparam, delete, insert, literal, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture


class Base(DeclarativeBase):
    """Models of this module."""


liking = Table(
    "liking",
    Base.metadata,
    Column("person", ForeignKey("person.id"), primary_key=True),
    Column("song", ForeignKey("song.id"), primary_key=True),
)
naming = Table(
    "naming",
    Base.metadata,
    Column("nick", ForeignKey("person.nick"), primary_key=True),
    Column("song", ForeignKey("song.id"), primary_key=True),
)


class Song(Base):
    """Shown with whoever likes it."""

    __tablename__ = "song"
    id: Mapped[int] = mapped_column(primary_key=True)


class Person(Base):
    """Has songs by key, and others by another column that is unique."""

    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    nick: Mapped[str] = mapped_column(unique=True)
    songs: Mapped[list[Song]] = relationship(secondary=liking)
    named: Mapped[list[Song]] = relationship(secondary=naming)


class SongOut(BaseModel):
    """A song."""

    id: int


class PersonOut(BaseModel):
    """By key."""

    id: int
    songs: list[SongOut]


class NamedOut(BaseModel):
    """By another column."""

    id: int
    named: list[SongOut]


@pytest.fixture
def capture(engine: Engine) -> Capture:
    Base.metadata.create_all(engine)
    made = Capture(engine, Publication(Person, PersonOut, "people"))
    with made.sessions.begin() as session:
        session.add_all([Person(id=1, nick="a"), Person(id=2, nick="b"), Song(id=1), Song(id=2)])
        session.flush()
        session.execute(insert(liking), [{"person": 1, "song": 1}, {"person": 2, "song": 1}])
    made.commits()
    return made


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda s: s.execute(insert(liking), [{"person": 1, "song": 2}, {"person": 2, "song": 2}]), ["1", "2"]),
        (lambda s: s.execute(insert(liking).values(person=2, song=2)), ["2"]),
        (lambda s: s.execute(delete(liking).where(liking.c.person == 2)), ["2"]),
        (lambda s: s.execute(delete(liking)), ["1", "2"]),
        (
            lambda s: s.connection().execute(
                delete(liking).where(liking.c.person == bindparam("who")), [{"who": 1}, {"who": 2}]
            ),
            ["1", "2"],
        ),
        (lambda s: s.execute(insert(liking).from_select(["person", "song"], select(literal(1), literal(2)))), None),
        (lambda s: s.execute(insert(liking).values([{"person": 1, "song": 2}])), None),
        (lambda s: s.execute(update(liking).values(song=2)), None),
    ],
    ids=["several", "one", "where", "all", "binds", "select", "values", "update"],
)
def test_statements_about_pairs(capture: Capture, write: Callable[[Session], Any], told: list[str] | None) -> None:
    with capture.sessions.begin() as session:
        write(session)
    [commit] = capture.commits()
    if told is None:
        assert commit.invalidated == {"people"}
    else:
        assert sorted(change.id for change in commit.changes) == told
        assert {change.changed for change in commit.changes} == {("songs",)}


def test_pairs_that_do_not_hold_the_key_leave_doubt(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    capture = Capture(engine, Publication(Person, NamedOut, "named"))
    with capture.sessions.begin() as session:
        session.add_all([person := Person(id=1, nick="a"), song := Song(id=1)])
    capture.commits()
    with capture.sessions.begin() as session:
        session.add_all([person, song])
        person.named.append(song)
    assert capture.told() == [["invalidate named"]]
