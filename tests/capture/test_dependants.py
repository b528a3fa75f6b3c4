"""What the database changes by itself is looked at once for each row of a flush, before it goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture, reads
from tests.support.models import Page, PageOut, Project


class Base(DeclarativeBase):
    """Models of this module."""


class Shelf(Base):
    """Nobody publishes it. Its books go with it, and follow its name."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    colour: Mapped[str] = mapped_column(default="red")


class Book(Base):
    """On a shelf, and perhaps part of a series of another."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shelf: Mapped[str] = mapped_column(ForeignKey("shelf.name", ondelete="CASCADE", onupdate="CASCADE"))
    first_id: Mapped[int | None] = mapped_column(ForeignKey("book.id", ondelete="SET NULL"))


class BookOut(BaseModel):
    """All of it."""

    id: int
    shelf: str
    first_id: int | None


class ProjectOut(BaseModel):
    """As a list shows it."""

    id: int


@pytest.fixture
def capture(engine: Engine) -> Capture:
    Base.metadata.create_all(engine)
    made = Capture(engine, Publication(Book, BookOut, "shelves/{shelf}"))
    with made.sessions.begin() as session:
        session.add_all([Shelf(id=1, name="a"), Shelf(id=2, name="b"), Shelf(id=3, name="c")])
        session.flush()
        session.add_all([Book(id=1, shelf="a"), Book(id=2, shelf="b")])
        session.flush()
        session.add(Book(id=3, shelf="c", first_id=1))
    made.commits()
    return made


def test_rows_that_go_together_are_looked_at_together(capture: Capture, engine: Engine) -> None:
    with capture.sessions.begin() as session:
        shelves = [session.get_one(Shelf, number) for number in (1, 2)]
        with reads(engine, "book") as sent:
            for each in shelves:
                session.delete(each)
            session.flush()
    # Their books, those books once more by key alone, and what refers to these: for both shelves at once.
    assert len(sent) == 3
    assert sorted(line.split(" {")[0] for line in capture.told()[0]) == [
        "destroy shelves/a Book 1",
        "destroy shelves/b Book 2",
        "update shelves/c Book 3 +first_id",
    ]


def test_a_key_that_others_follow_takes_them_along(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Shelf, 1).name = "z"
    assert capture.told() == [
        ["destroy shelves/a Book 1 (leave)", 'create shelves/z Book 1 (enter) {"id":1,"shelf":"z","first_id":null}']
    ]


def test_columns_that_nobody_refers_to_cost_nothing(capture: Capture, engine: Engine) -> None:
    with capture.sessions.begin() as session:
        shelf = session.get_one(Shelf, 1)
        with reads(engine, "book") as sent:
            shelf.colour = "blue"
            session.flush()
    assert sent == []
    assert capture.silent()


@pytest.mark.parametrize("change", [lambda shelf: None, lambda shelf: setattr(shelf, "name", "z")])
def test_a_new_row_goes_where_its_shelf_goes(capture: Capture, change: Callable[[Shelf], None]) -> None:
    """It is told as it is stored, though the flush that made it knew all of its values."""
    with capture.sessions.begin() as session:
        session.add(Book(id=9, shelf="b"))
        session.flush()
        change(session.get_one(Shelf, 2))
        session.flush()
        session.delete(session.get_one(Shelf, 2))
    assert sorted(capture.told()[0]) == ["destroy shelves/b Book 2"]


def test_a_new_row_follows_the_key_of_its_shelf(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Book(id=9, shelf="a"))
        session.flush()
        session.get_one(Shelf, 1).name = "z"
    assert sorted(capture.told()[0]) == [
        'create shelves/z Book 1 (enter) {"id":1,"shelf":"z","first_id":null}',
        'create shelves/z Book 9 {"id":9,"shelf":"z","first_id":null}',
        "destroy shelves/a Book 1 (leave)",
    ]


def test_nothing_is_kept_of_a_flush_that_is_over(capture: Capture) -> None:
    dependants = capture.hooks._flushes._dependants
    with capture.sessions() as session:
        session.delete(session.get_one(Shelf, 1))
        session.flush()
        assert dependants._followed == {}
        session.rollback()
    assert dependants._followed == {}
    assert capture.silent()
    assert {table.name for table in dependants.sources()} == {"shelf", "book"}


@pytest.mark.parametrize("acted", ["project", "page", "orphan"])
def test_what_sqlalchemy_takes_along_nobody_acted_on(sqlite: Engine, acted: str) -> None:
    made = Capture(
        sqlite, Publication(Project, ProjectOut, "projects"), Publication(Page, PageOut, "pages"), expire_on_commit=False
    )
    with made.sessions.begin() as session:
        session.add(Project(id=1, pages=[Page(id=1), Page(id=2)]))
    made.commits()
    with made.sessions.begin() as session:
        project = session.get_one(Project, 1)
        if acted == "orphan":
            project.pages.pop()
        else:
            session.delete(project if acted == "project" else project.pages[1])
    sides = {f"{change.cls} {change.id}": change.side for commit in made.commits() for change in commit.changes}
    assert sides == ({"Page 1": True, "Page 2": True, "Project 1": False} if acted == "project" else {"Page 2": False})
