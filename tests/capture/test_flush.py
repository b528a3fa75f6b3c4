"""What flushes are seen to do: models of every shape, and a failure of ours that leaves doubt instead of silence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import JSON, Engine, ForeignKey, delete, event, func, text, update
from sqlalchemy.exc import SAWarning
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqla_realtime.capture import flush
from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture
from tests.support.models import Page, PageOut, Project


class Base(DeclarativeBase):
    """Models of this module."""


class Animal(Base):
    """A joined inheritance tree."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    """Its leaf."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    tricks: Mapped[int] = mapped_column(default=0)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Note(Base):
    """JSON that changes in place, a composite key, and a column that the database sets."""

    __tablename__ = "note"
    left: Mapped[int] = mapped_column(primary_key=True)
    right: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)
    changes: Mapped[int] = mapped_column(default=0, onupdate=lambda context: 7)
    private: Mapped[str | None]


class Node(Base):
    """Two foreign keys in a circle: one of them is set in a second UPDATE."""

    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True)
    best_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    best: Mapped[Node | None] = relationship(remote_side=id, post_update=True)


class AnimalOut(BaseModel):
    """The base's columns."""

    id: int
    name: str


class NoteOut(BaseModel):
    """All but the private one."""

    left: int
    right: str
    data: dict[str, Any]
    changes: int


class NodeOut(BaseModel):
    """All of it."""

    id: int
    best_id: int | None


class ProjectOut(BaseModel):
    """Its key."""

    id: int


@pytest.fixture
def capture(engine: Engine) -> Capture:
    Base.metadata.create_all(engine)
    return Capture(
        engine,
        Publication(Animal, AnimalOut, "animals"),
        Publication(Note, NoteOut, "notes/{left}"),
        Publication(Node, NodeOut, "nodes"),
    )


def test_a_subclass_is_named_as_itself(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add_all([Animal(id=1, name="Tom"), Dog(id=2, name="Rex")])
    assert capture.told() == [['create animals Animal 1 {"id":1,"name":"Tom"}', 'create animals Dog 2 {"id":2,"name":"Rex"}']]
    with capture.sessions.begin() as session:
        session.get_one(Dog, 2).tricks = 1
    assert capture.silent()
    with capture.sessions.begin() as session:
        session.get_one(Animal, 2).name = "Max"
        session.delete(session.get_one(Animal, 1))
    assert capture.told() == [['update animals Dog 2 +name {"id":2,"name":"Max"}', "destroy animals Animal 1"]]


def test_a_subclass_that_is_mapped_later_is_seen(engine: Engine) -> None:
    class Own(DeclarativeBase):
        pass

    class Plant(Own):
        __tablename__ = "plant"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        name: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "plant"}  # noqa: RUF012

    Own.metadata.create_all(engine)
    capture = Capture(engine, Publication(Plant, AnimalOut, "plants"))

    class Tree(Plant):
        __mapper_args__ = {"polymorphic_identity": "tree"}  # noqa: RUF012

    with capture.sessions.begin() as session:
        session.add(Tree(id=1, name="Oak"))
    assert capture.told() == [['create plants Tree 1 {"id":1,"name":"Oak"}']]


def test_a_composite_key_is_one_text(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Note(left=1, right="a,b"))
    assert capture.told() == [['create notes/1 Note 1,a%2Cb {"left":1,"right":"a,b","data":{},"changes":0}']]


def test_json_that_changed_in_place_and_what_the_mapping_sets_by_itself(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Note(left=1, right="a"))
    capture.commits()
    with capture.sessions.begin() as session:
        note = session.get_one(Note, (1, "a"))
        note.data["x"] = 1
    assert capture.told() == [['update notes/1 Note 1,a +data,changes {"left":1,"right":"a","data":{"x":1},"changes":7}']]


def test_an_old_value_that_was_never_loaded_counts_as_different(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Animal(id=1, name="Tom"))
    capture.commits()
    with capture.sessions.begin() as session:
        animal = session.get_one(Animal, 1)
        session.expire(animal)
        animal.name = "Tom"
    assert capture.told() == [['update animals Animal 1 +name {"id":1,"name":"Tom"}']]


def test_a_foreign_key_that_is_set_late_is_seen(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add_all([one := Node(id=1), two := Node(id=2)])
        one.best, two.best = two, one
    assert capture.told() == [['create nodes Node 1 {"id":1,"best_id":2}', 'create nodes Node 2 {"id":2,"best_id":1}']]
    with capture.sessions.begin() as session:
        session.get_one(Node, 1).best = None
    assert capture.told() == [['update nodes Node 1 +best_id {"id":1,"best_id":null}']]


def test_moved_rows_are_looked_up_together(engine: Engine) -> None:
    capture = Capture(engine)
    with capture.sessions.begin() as session:
        session.add_all([Project(id=5), Project(id=6), *(Page(id=number, project_id=5) for number in range(1, 31))])
    capture.commits()
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with capture.sessions.begin() as session:
        pages = session.query(Page).all()
        statements.clear()
        for page in pages[:20]:
            page.project_id = 6
        for page in pages[20:]:
            session.delete(page)
    selects = [each for each in statements if each.startswith("SELECT")]
    assert len(selects) == 3, "one for the moved, one for the deleted, one for the rows as they are stored"
    changes = capture.commits()[0].changes
    assert [change.type for change in changes].count("destroy") == 30


def test_a_failure_of_ours_leaves_the_flush_alone_and_readers_in_doubt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    capture = Capture(engine)

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(flush, "Touch", fail)
    with capture.sessions.begin() as session:
        session.add_all([Project(id=5), Page(id=1, project_id=5)])
    assert capture.told() == [["invalidate projects/{project_id}/pages"]]
    assert "[capture-failed]" in caplog.text
    with capture.sessions() as session:
        assert session.query(func.count(Page.id)).scalar() == 1


def test_an_object_whose_row_is_gone_already_tells_nothing(engine: Engine) -> None:
    capture = Capture(
        engine, Publication(Page, PageOut, "projects/{project_id}/pages"), Publication(Project, ProjectOut, "projects")
    )
    with capture.sessions.begin() as session:
        session.add_all([Project(id=5), Project(id=6), Page(id=1, project_id=5)])
    stale = capture.sessions(expire_on_commit=False)
    project, page = stale.get_one(Project, 6), stale.get_one(Page, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.execute(delete(Page))
        session.execute(delete(Project).where(Project.id == 6))
    capture.commits()
    stale.delete(page)
    with pytest.warns(SAWarning, match="0 were matched"):
        stale.commit()
    stale.delete(project)
    with pytest.warns(SAWarning, match="0 were matched"):
        stale.commit()
    assert capture.silent()


def test_a_base_and_its_leaf_deleted_together_are_looked_up_as_what_they_are(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    capture = Capture(engine, Publication(Animal, AnimalOut, "animals/{name}"), Publication(Dog, AnimalOut, "dogs/{tricks}"))
    with capture.sessions.begin() as session:
        session.add_all([Animal(id=1, name="a"), Dog(id=2, name="b", tricks=1)])
    capture.commits()
    with capture.sessions.begin() as session:
        for animal in session.query(Animal):
            session.delete(animal)
    assert sorted(capture.told()[0]) == ["destroy animals/a Animal 1", "destroy animals/b Dog 2", "destroy dogs/1 Dog 2"]


def test_what_was_looked_up_of_one_model_is_not_taken_for_another_with_the_same_key(engine: Engine) -> None:
    capture = Capture(
        engine, Publication(Page, PageOut, "projects/{project_id}/pages"), Publication(Project, ProjectOut, "named/{name}")
    )
    with capture.sessions.begin() as session:
        session.add_all([Project(id=1, name="a"), Project(id=2, name="b")])
        session.add_all([Page(id=1, project_id=2, title="x"), Page(id=2, project_id=2)])
    capture.commits()
    with capture.sessions.begin() as session:
        unchanged, moved, project = session.get_one(Page, 1), session.get_one(Page, 2), session.get_one(Project, 1)
        assert project.pages == []
        unchanged.title = "y"
        unchanged.title = "x"
        moved.project_id = None
        session.delete(project)
    assert capture.told() == [["destroy projects/2/pages Page 2 (leave)", "destroy named/a Project 1"]]


def test_a_flush_locks_no_rows_that_it_does_not_write(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # one writer at a time
    capture = Capture(engine)
    with capture.sessions.begin() as session:
        session.add_all([Project(id=5), Page(id=1, project_id=5, title="x"), Page(id=2, project_id=5)])
    capture.commits()
    with engine.connect() as other, other.begin(), capture.sessions() as session:
        unchanged, moved = session.get_one(Page, 1), session.get_one(Page, 2)
        other.execute(update(Page).where(Page.id == 1).values(title="y"))
        session.execute(text("SET lock_timeout = '5s'"))
        unchanged.title = "z"
        unchanged.title = "x"
        moved.project_id = None
        session.commit()
    assert capture.told() == [["destroy projects/5/pages Page 2 (leave)"]]
