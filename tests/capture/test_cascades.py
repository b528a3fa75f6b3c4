"""What the database does by itself: rows that go or change because of a foreign key, told like any others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, ForeignKey, delete, event, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture


class Base(DeclarativeBase):
    """Models of this module."""


class Country(Base):
    """Not published; two tables away from one that is."""

    __tablename__ = "country"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")


class City(Base):
    """Not published; goes with its country."""

    __tablename__ = "city"
    id: Mapped[int] = mapped_column(primary_key=True)
    country_id: Mapped[int] = mapped_column(ForeignKey("country.id", ondelete="CASCADE"))
    streets: Mapped[list[Street]] = relationship(passive_deletes="all")


class Street(Base):
    """Published; goes with its city."""

    __tablename__ = "street"
    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int] = mapped_column(ForeignKey("city.id", ondelete="CASCADE"))


class Code(Base):
    """Published; others refer to a text that changes."""

    __tablename__ = "code"
    text: Mapped[str] = mapped_column(primary_key=True)


class House(Base):
    """Published; stays when its street goes, and follows a code that changes."""

    __tablename__ = "house"
    id: Mapped[int] = mapped_column(primary_key=True)
    street_id: Mapped[int | None] = mapped_column(ForeignKey("street.id", ondelete="SET NULL"))
    code: Mapped[str | None] = mapped_column(ForeignKey("code.text", onupdate="CASCADE", ondelete="set null"))


class Folder(Base):
    """Published; a tree that goes from the root down."""

    __tablename__ = "folder"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("folder.id", ondelete="CASCADE"))


class StreetOut(BaseModel):
    """All of it."""

    id: int
    city_id: int


class HouseOut(BaseModel):
    """All of it."""

    id: int
    street_id: int | None
    code: str | None


class CodeOut(BaseModel):
    """All of it."""

    text: str


class FolderOut(BaseModel):
    """All of it."""

    id: int


@pytest.fixture
def capture(engine: Engine) -> Capture:
    Base.metadata.create_all(engine)
    made = Capture(
        engine,
        Publication(Street, StreetOut, "streets"),
        Publication(House, HouseOut, "houses"),
        Publication(Folder, FolderOut, "folders"),
        Publication(Code, CodeOut, "codes"),
    )
    with made.sessions.begin() as session:
        session.add(Country(id=1))
        session.flush()
        session.add_all([City(id=1, country_id=1), City(id=2, country_id=1), Code(text="a")])
        session.flush()
        session.add_all([Street(id=1, city_id=1), Street(id=2, city_id=2)])
        session.flush()
        session.add_all([House(id=1, street_id=1, code="a"), House(id=2, street_id=2)])
        session.add(Folder(id=1))
        session.flush()
        session.add(Folder(id=2, parent_id=1))
        session.flush()
        session.add(Folder(id=3, parent_id=2))
    made.commits()
    return made


def run(capture: Capture, write: Callable[[Session], Any]) -> list[str]:
    with capture.sessions.begin() as session:
        write(session)
    return [line for told in capture.told() for line in told]


GONE = [
    "destroy streets Street 1",
    "destroy streets Street 2",
    'update houses House 1 +street_id {"id":1,"street_id":null,"code":"a"}',
    'update houses House 2 +street_id {"id":2,"street_id":null,"code":null}',
]


@pytest.mark.parametrize(
    "write",
    [
        lambda session: session.delete(session.get_one(Country, 1)),
        lambda session: session.execute(delete(Country)),
        lambda session: session.execute(delete(Country).where(Country.id == 1)),
        lambda session: session.execute(Country.__table__.delete()),
        lambda session: session.query(Country).delete(),
        lambda session: [session.delete(city) for city in session.query(City)],
    ],
    ids=["flush", "bulk", "where", "core", "legacy", "several"],
)
def test_what_goes_with_a_row_that_nobody_publishes_is_told(capture: Capture, write: Callable[[Session], Any]) -> None:
    assert sorted(run(capture, write)) == GONE


def test_a_tree_goes_from_the_root_down(capture: Capture) -> None:
    gone = [f"destroy folders Folder {number}" for number in (1, 2, 3)]
    assert sorted(run(capture, lambda session: session.execute(delete(Folder).where(Folder.id == 1)))) == gone


def test_a_tree_goes_with_an_object_too(capture: Capture) -> None:
    gone = [f"destroy folders Folder {number}" for number in (2, 3)]
    assert sorted(run(capture, lambda session: session.delete(session.get_one(Folder, 2)))) == gone


def test_a_key_that_others_follow(capture: Capture) -> None:
    def write(session: Session) -> None:
        session.get_one(Code, "a").text = "b"

    assert sorted(run(capture, write)) == [
        'create codes Code b {"text":"b"}',
        "destroy codes Code a",
        'update houses House 1 +code {"id":1,"street_id":1,"code":"b"}',
    ]


def test_a_key_that_a_statement_changes_leaves_doubt(capture: Capture) -> None:
    told = run(capture, lambda session: session.execute(update(Code).values(text="b")))
    assert told == ["invalidate codes", "invalidate houses"]


def test_raw_sql_about_a_table_that_leads_to_a_published_one_leaves_doubt(capture: Capture) -> None:
    told = run(capture, lambda session: session.execute(text("DELETE FROM country")))
    assert told == ["invalidate houses", "invalidate streets"]


def test_a_cascade_that_is_rolled_back_tells_nothing(capture: Capture) -> None:
    def write(session: Session) -> None:
        savepoint = session.begin_nested()
        session.delete(session.get_one(Country, 1))
        session.flush()
        savepoint.rollback()

    assert run(capture, write) == []


def test_objects_that_go_together_are_followed_together(capture: Capture) -> None:
    statements: list[str] = []
    event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def write(session: Session) -> None:
        cities = session.query(City).all()
        statements.clear()
        for city in cities:
            session.delete(city)

    assert sorted(run(capture, write)) == GONE
    assert sum("FROM street" in each and "city_id" in each.partition("WHERE")[2] for each in statements) == 2


def test_without_enforcement_nothing_differs_and_nothing_is_told(capture: Capture) -> None:
    if capture.engine.dialect.name != "sqlite":
        return  # PostgreSQL always enforces
    event.listen(capture.engine, "begin", lambda connection: None)
    event.listen(capture.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA foreign_keys=OFF"))
    assert run(capture, lambda session: session.delete(session.get_one(Country, 1))) == []


def test_more_rows_than_the_limit_leave_doubt(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    capture = Capture(engine, Publication(Folder, FolderOut, "folders"), statement_rows=2)
    with capture.sessions.begin() as session:
        session.add(Folder(id=1))
        session.flush()
        session.add_all([Folder(id=number, parent_id=1) for number in range(2, 8)])
    capture.commits()
    assert "invalidate folders" in run(capture, lambda session: session.delete(session.get_one(Folder, 1)))


def test_without_readers_nothing_is_read(capture: Capture) -> None:
    capture.wanted = lambda pattern: False
    assert run(capture, lambda session: session.execute(delete(Country))) == ["invalidate houses", "invalidate streets"]


def sides(capture: Capture, write: Callable[[Session], Any]) -> dict[str, bool]:
    """Which rows were changed along with others."""
    with capture.sessions.begin() as session:
        write(session)
    return {f"{change.cls} {change.id}": change.side for commit in capture.commits() for change in commit.changes}


def test_what_the_database_changes_along_with_a_row_nobody_acted_on(capture: Capture) -> None:
    tree = {"Folder 1": False, "Folder 2": True, "Folder 3": True}
    assert sides(capture, lambda session: session.delete(session.get_one(Folder, 1))) == tree
    assert set(sides(capture, lambda session: session.delete(session.get_one(Country, 1))).values()) == {True}


def test_what_was_acted_on_too_was_acted_on(capture: Capture) -> None:
    def write(session: Session) -> None:
        session.delete(session.get_one(Folder, 3))
        session.flush()
        session.delete(session.get_one(Folder, 1))

    assert sides(capture, write) == {"Folder 1": False, "Folder 2": True, "Folder 3": False}
