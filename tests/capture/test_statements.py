"""Statements outside flushes: what each way of writing sends, with the user's result as it would be without us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, ForeignKey, bindparam, delete, event, insert, literal, select, text, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqla_realtime.capture.collector import Collector
from sqla_realtime.schema.publication import Publication
from tests.support.capture import CHANNEL, Capture
from tests.support.models import Page, Project

DOUBT = f"invalidate {CHANNEL}"


class Zoo(DeclarativeBase):
    """Models with subclasses."""


class Beast(Zoo):
    """The base of both kinds of inheritance."""

    __tablename__ = "beast"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "beast"}  # noqa: RUF012


class Cat(Beast):
    """Has a table of its own."""

    __tablename__ = "cat"
    id: Mapped[int] = mapped_column(ForeignKey("beast.id", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True)
    lives: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


class Bird(Beast):
    """Has a column in the table of the base."""

    wings: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "bird"}  # noqa: RUF012


class BeastOut(BaseModel):
    """What all have."""

    id: int
    name: str


class CatOut(BeastOut):
    """What cats have."""

    lives: int


class BirdOut(BeastOut):
    """What birds have."""

    wings: int | None


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add_all([Project(id=5), Project(id=6), *(Page(id=number, project_id=5, title="a") for number in (1, 2, 3))])
    made.commits()
    return made


def run(capture: Capture, write: Callable[[Session], Any]) -> tuple[Any, list[str]]:
    """The result of a write, and what its commit told."""
    with capture.sessions.begin() as session:
        result = write(session)
    told = capture.told()
    assert len(told) <= 1
    return result, told[0] if told else []


def titled(number: int, title: str, fields: str = "title", project: int = 5) -> str:
    record = f'{{"id":{number},"project_id":{project},"title":"{title}","size":7}}'
    return f"update projects/{project}/pages Page {number} +{fields} {record}"


@pytest.mark.parametrize("synchronize", ["auto", "fetch", "evaluate", False])
def test_a_bulk_update_is_told_row_by_row(capture: Capture, synchronize: Any) -> None:
    statement = update(Page).where(Page.id > 1).values(title="b").execution_options(synchronize_session=synchronize)
    rowcount, told = run(capture, lambda session: session.execute(statement).rowcount)  # type: ignore[attr-defined]
    assert rowcount == 2
    assert sorted(told) == [titled(2, "b"), titled(3, "b")]


@pytest.mark.parametrize("synchronize", ["auto", "fetch", "evaluate", False])
def test_a_bulk_delete_is_told_row_by_row(capture: Capture, synchronize: Any) -> None:
    statement = delete(Page).where(Page.id > 1).execution_options(synchronize_session=synchronize)
    rowcount, told = run(capture, lambda session: session.execute(statement).rowcount)  # type: ignore[attr-defined]
    assert rowcount == 2
    assert sorted(told) == ["destroy projects/5/pages Page 2", "destroy projects/5/pages Page 3"]


def test_an_update_to_what_is_there_already_is_nothing(capture: Capture) -> None:
    assert run(capture, lambda session: session.execute(update(Page).values(title="a")))[1] == []


def test_a_bulk_move(capture: Capture) -> None:
    _, told = run(capture, lambda session: session.execute(update(Page).where(Page.id == 1).values(project_id=6)))
    assert told == [
        "destroy projects/5/pages Page 1 (leave)",
        'create projects/6/pages Page 1 (enter) {"id":1,"project_id":6,"title":"a","size":7}',
    ]


def test_a_row_that_is_flushed_and_then_updated_in_bulk_is_told_once(capture: Capture) -> None:
    def write(session: Session) -> None:
        session.add(Page(id=9, project_id=5, title="new"))
        session.get_one(Page, 1).title = "b"
        session.flush()
        session.execute(update(Page).values(title="c"))
        session.execute(delete(Page).where(Page.id.in_([2, 3])))

    assert sorted(run(capture, write)[1]) == [
        'create projects/5/pages Page 9 {"id":9,"project_id":5,"title":"c","size":7}',
        "destroy projects/5/pages Page 2",
        "destroy projects/5/pages Page 3",
        titled(1, "c"),
    ]


def test_the_users_returning_is_theirs(capture: Capture) -> None:
    statement = update(Page).where(Page.id < 3).values(title="b").returning(Page.id, Page.title)
    rows, told = run(capture, lambda session: sorted(session.execute(statement).all()))
    assert [tuple(row) for row in rows] == [(1, "b"), (2, "b")]
    assert sorted(told) == [titled(1, "b"), titled(2, "b")]
    entities, told = run(capture, lambda session: [page.id for page in session.scalars(delete(Page).returning(Page))])
    assert sorted(entities) == [1, 2, 3]
    assert len(told) == 3


def test_updates_by_primary_key_in_bulk_read_their_rows_once(capture: Capture) -> None:
    statements: list[str] = []
    event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    rows = [{"id": 1, "title": "x"}, {"id": 2, "title": "y"}]
    _, told = run(capture, lambda session: session.execute(update(Page), rows))
    assert told == [titled(1, "x"), titled(2, "y")]
    assert sum(each.startswith("SELECT") for each in statements) == 2, "before the statement, and before COMMIT"


def test_the_legacy_ways(capture: Capture) -> None:
    assert run(capture, lambda session: session.query(Page).filter_by(id=1).update({"title": "q"}))[1] == [titled(1, "q")]
    assert run(capture, lambda session: session.bulk_update_mappings(Page, [{"id": 1, "title": "m"}]))[1] == [titled(1, "m")]
    assert run(capture, lambda session: session.bulk_insert_mappings(Page, [{"id": 8, "project_id": 5, "title": "i"}]))[1] == [
        'create projects/5/pages Page 8 {"id":8,"project_id":5,"title":"i","size":7}'
    ]
    assert run(capture, lambda session: session.bulk_save_objects([Page(id=9, project_id=5, title="s")]))[1] == [
        'create projects/5/pages Page 9 {"id":9,"project_id":5,"title":"s","size":7}'
    ]
    assert run(capture, lambda session: session.query(Page).filter(Page.id > 7).delete())[1] == [
        "destroy projects/5/pages Page 8",
        "destroy projects/5/pages Page 9",
    ]


def test_core_statements_on_the_session_and_on_its_connection(capture: Capture) -> None:
    table = Page.__table__
    assert run(capture, lambda session: session.execute(table.update().where(table.c.id == 1).values(title="b")))[1] == [  # type: ignore[attr-defined]
        titled(1, "b")
    ]

    def on_connection(session: Session) -> None:
        statement = table.update().where(table.c.id == bindparam("which")).values(title=bindparam("what"))  # type: ignore[attr-defined]
        session.connection().execute(statement, [{"which": 1, "what": "c"}, {"which": 2, "what": "d"}])

    assert run(capture, on_connection)[1] == [titled(1, "c"), titled(2, "d")]


def test_inserts_that_bring_their_keys_are_told_and_others_leave_doubt(capture: Capture) -> None:
    rows = [{"id": 8, "project_id": 5, "title": "x"}, {"id": 9, "project_id": 6, "title": "y"}]
    assert run(capture, lambda session: session.execute(insert(Page), rows))[1] == [
        'create projects/5/pages Page 8 {"id":8,"project_id":5,"title":"x","size":7}',
        'create projects/6/pages Page 9 {"id":9,"project_id":6,"title":"y","size":7}',
    ]
    # PostgreSQL's sequence knows nothing of the keys that were given to it.
    if capture.engine.dialect.name == "postgresql":
        with capture.engine.begin() as connection:
            connection.execute(text("SELECT setval('page_id_seq', 100)"))
    ids, told = run(
        capture,
        lambda session: session.scalars(insert(Page).returning(Page.id), [{"project_id": 5}, {"project_id": 5}]).all(),
    )
    assert len(ids) == 2
    assert told == [DOUBT]
    assert run(capture, lambda session: session.execute(insert(Page).from_select(["title"], select(literal("s")))))[1] == [
        DOUBT
    ]


def test_upserts(capture: Capture) -> None:
    dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[capture.engine.dialect.name]
    rows = [{"id": 1, "project_id": 6, "title": "up"}, {"id": 9, "project_id": 5, "title": "new"}]
    statement = dialect.insert(Page)
    by_key = statement.on_conflict_do_update(index_elements=["id"], set_={"title": statement.excluded.title})
    assert run(capture, lambda session: session.execute(by_key, rows))[1] == [
        titled(1, "up"),
        'create projects/5/pages Page 9 {"id":9,"project_id":5,"title":"new","size":7}',
    ]
    nothing = statement.on_conflict_do_nothing()
    assert run(capture, lambda session: session.execute(nothing, [{"id": 1, "title": "no"}, {"id": 10, "project_id": 5}]))[
        1
    ] == ['create projects/5/pages Page 10 {"id":10,"project_id":5,"title":"","size":7}']


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
def test_upserts_of_mysql_leave_doubt(capture: Capture) -> None:
    """They meet rows by any unique key, and do not say by which."""
    statement = mysql.insert(Page).values(id=1, project_id=6, title="up").on_duplicate_key_update(title="up")
    assert run(capture, lambda session: session.execute(statement))[1] == [DOUBT]


@pytest.mark.parametrize(
    "write",
    [
        lambda session: session.execute(text("UPDATE page SET title = 'raw'")),
        lambda session: session.connection().exec_driver_sql("DELETE FROM page"),
        lambda session: session.execute(text("/* a hint */ insert into page (id, project_id, title) values (9, 5, 'raw')")),
        lambda session: session.execute(update(Page).where(Page.id == 1).values(id=77)),
        lambda session: session.execute(select(update(Page).values(title="cte").returning(Page.id).cte("c"))),
    ],
    ids=["text", "driver", "comment", "key", "cte"],
)
def test_what_can_not_be_followed_leaves_doubt(capture: Capture, write: Callable[[Session], Any]) -> None:
    if capture.engine.dialect.name == "sqlite" and "cte" in write.__code__.co_names:
        return  # SQLite has no DML in a CTE
    assert run(capture, write)[1] == [DOUBT]


def test_raw_statements_about_other_tables_are_no_doubt(capture: Capture) -> None:
    def write(session: Session) -> None:
        session.execute(text("UPDATE project SET name = 'x'"))
        session.execute(text("SELECT * FROM page"))
        session.execute(update(Project).values(name="y"))

    assert run(capture, write)[1] == []


def test_more_rows_than_the_limit_leave_doubt(engine: Engine) -> None:
    capture = Capture(engine, statement_rows=2)
    with capture.sessions.begin() as session:
        session.add_all([Project(id=5), *(Page(id=number, project_id=5) for number in range(1, 6))])
    capture.commits()
    assert len(run(capture, lambda session: session.execute(update(Page).where(Page.id < 3).values(title="b")))[1]) == 2
    assert run(capture, lambda session: session.execute(update(Page).values(title="c")))[1][-1] == DOUBT


def test_statements_that_are_rolled_back_tell_nothing(capture: Capture) -> None:
    session = capture.sessions()
    session.execute(update(Page).values(title="b"))
    session.rollback()
    savepoint = session.begin_nested()
    session.execute(delete(Page))
    savepoint.rollback()
    session.commit()
    session.close()
    assert capture.silent()


def test_rows_that_become_visible_between_our_look_and_the_statement_leave_doubt(capture: Capture) -> None:
    """READ COMMITTED: another transaction's new row matches the UPDATE and did not match the SELECT before it."""
    if capture.engine.dialect.name == "sqlite":
        return  # one writer at a time: nobody can come between
    looked = False

    @event.listens_for(capture.engine, "after_cursor_execute")
    def between(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        nonlocal looked
        if not looked and statement.startswith("SELECT") and "FOR NO KEY UPDATE" in statement:
            looked = True
            with Session(capture.engine) as other, other.begin():
                other.add(Page(id=50, project_id=5, title="late"))

    _, told = run(capture, lambda session: session.execute(update(Page).values(title="b")))
    assert looked
    assert DOUBT in told


def test_what_a_listener_writes_inside_a_flush_is_told_too(capture: Capture) -> None:
    @event.listens_for(Project, "after_update")
    def touch_pages(mapper: Any, connection: Any, project: Project) -> None:
        table = Page.__table__
        connection.execute(table.update().where(table.c.project_id == project.id, table.c.id < 3).values(title=project.name))  # type: ignore[attr-defined]

    def write(session: Session) -> None:
        session.get_one(Project, 5).name = "new"

    try:
        assert sorted(run(capture, write)[1]) == [titled(1, "new"), titled(2, "new")]
    finally:
        event.remove(Project, "after_update", touch_pages)


def test_without_readers_nothing_is_read(capture: Capture) -> None:
    statements: list[str] = []
    event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    capture.wanted = lambda pattern: False
    assert run(capture, lambda session: session.execute(update(Page).values(title="b")))[1] == [DOUBT]
    assert not any(each.startswith("SELECT") for each in statements)


def test_a_statement_about_a_base_class_knows_the_columns_of_its_subclasses(engine: Engine) -> None:
    """What the subclass's own publication reads is not a column of the statement's table, or not of its class."""
    Zoo.metadata.create_all(engine)
    capture = Capture(
        engine,
        Publication(Beast, BeastOut, "beasts"),
        Publication(Cat, CatOut, "cats/{lives}"),
        Publication(Bird, BirdOut, "birds", where=Bird.wings > 1),
    )
    with capture.sessions.begin() as session:
        session.add_all([Cat(id=1, name="a", lives=9), Bird(id=2, name="a", wings=2), Bird(id=3, name="a", wings=0)])
    capture.commits()
    assert sorted(run(capture, lambda session: session.execute(update(Beast).values(name="b")))[1]) == [
        'update beasts Bird 2 +name {"id":2,"name":"b"}',
        'update beasts Bird 3 +name {"id":3,"name":"b"}',
        'update beasts Cat 1 +name {"id":1,"name":"b"}',
        'update birds Bird 2 +name {"id":2,"name":"b","wings":2}',
        'update cats/9 Cat 1 +name {"id":1,"name":"b","lives":9}',
    ]
    assert sorted(run(capture, lambda session: session.execute(delete(Beast).where(Beast.id > 1)))[1]) == [
        "destroy beasts Bird 2",
        "destroy beasts Bird 3",
        "destroy birds Bird 2",
    ]


def test_doubt_about_a_base_class_is_doubt_about_its_subclasses(engine: Engine) -> None:
    Zoo.metadata.create_all(engine)
    capture = Capture(engine, Publication(Beast, BeastOut, "beasts"), Publication(Bird, BirdOut, "birds"))
    assert run(capture, lambda session: session.execute(text("UPDATE beast SET name = 'raw'")))[1] == [
        "invalidate beasts",
        "invalidate birds",
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda session: session.execute(update(Beast).values(kind="beast")),
        lambda session: session.execute(text("UPDATE beast SET kind = 'beast'")),
        lambda session: setattr(session.get_one(Beast, 1), "kind", "beast"),
        lambda session: [session.delete(session.get_one(Beast, 1)), session.add(Beast(id=1, name="b"))],
        lambda session: [session.delete(session.get_one(Beast, 1)), session.flush(), session.add(Beast(id=1, name="b"))],
        lambda session: [session.execute(delete(Beast)), session.execute(insert(Beast), [{"id": 1, "name": "b"}])],
    ],
    ids=["bulk", "text", "attribute", "switch", "again", "statements"],
)
@pytest.mark.filterwarnings("ignore:Flushing object .* with incompatible polymorphic identity")
def test_a_row_that_becomes_another_class_is_told_or_doubted(engine: Engine, write: Callable[[Session], Any]) -> None:
    Zoo.metadata.create_all(engine)
    capture = Capture(engine, Publication(Beast, BeastOut, "beasts"), Publication(Bird, BirdOut, "birds"))
    with capture.sessions.begin() as session:
        session.add(Bird(id=1, name="a", wings=2))
    capture.commits()
    told = set(run(capture, write)[1])
    if not {"invalidate beasts", "invalidate birds"} <= told:
        assert {each.split(" {")[0] for each in told} == {
            "create beasts Beast 1",
            "destroy beasts Bird 1",
            "destroy birds Bird 1",
        }


@pytest.mark.filterwarnings("ignore:Flushing object .* with incompatible polymorphic identity")
def test_a_class_that_can_not_be_read_leaves_doubt(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    Zoo.metadata.create_all(engine)
    capture = Capture(engine, Publication(Beast, BeastOut, "beasts"), Publication(Bird, BirdOut, "birds"))
    with capture.sessions.begin() as session:
        session.add(Bird(id=1, name="a", wings=2))
    capture.commits()
    read = Collector._read

    def fail(collector: Collector, *arguments: Any) -> Any:
        return read(collector, *arguments) if arguments[3] else None  # who asks for no publication asks for the class

    monkeypatch.setattr(Collector, "_read", fail)
    assert run(capture, lambda session: setattr(session.get_one(Beast, 1), "kind", "beast"))[1] == [
        "invalidate beasts",
        "invalidate birds",
    ]


def test_a_key_of_joined_inheritance_changes_without_doubt(engine: Engine) -> None:
    Zoo.metadata.create_all(engine)
    capture = Capture(engine, Publication(Beast, BeastOut, "beasts"), Publication(Cat, CatOut, "cats"))
    with capture.sessions.begin() as session:
        session.add(Cat(id=1, name="a", lives=9))
    capture.commits()
    assert sorted(run(capture, lambda session: setattr(session.get_one(Beast, 1), "id", 2))[1]) == [
        'create beasts Cat 2 {"id":2,"name":"a"}',
        'create cats Cat 2 {"id":2,"name":"a","lives":9}',
        "destroy beasts Cat 1",
        "destroy cats Cat 1",
    ]


def test_a_statement_about_a_subclass_looks_at_no_rows_of_its_base(engine: Engine) -> None:
    """Nor does it lock them: the limit of one row is not reached, and nobody is waited for."""
    Zoo.metadata.create_all(engine)
    capture = Capture(engine, Publication(Beast, BeastOut, "beasts"), Publication(Bird, BirdOut, "birds"), statement_rows=1)
    with capture.sessions.begin() as session:
        session.add_all([Beast(id=1, name="a"), Beast(id=2, name="a"), Bird(id=3, name="a", wings=2)])
    capture.commits()
    assert run(capture, lambda session: session.execute(update(Bird).values(name="b")))[1] == [
        'update beasts Bird 3 +name {"id":3,"name":"b"}',
        'update birds Bird 3 +name {"id":3,"name":"b","wings":2}',
    ]
    assert run(capture, lambda session: session.execute(delete(Bird).where(Bird.name == "b")))[1] == [
        "destroy beasts Bird 3",
        "destroy birds Bird 3",
    ]


# Upserts that meet rows of others.


def upsert(capture: Capture, number: int, project: int) -> None:
    statement = postgresql.insert(Page)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"project_id": statement.excluded.project_id})
    with capture.sessions.begin() as session:
        session.execute(statement, [{"id": number, "project_id": project, "title": "up"}])


@contextmanager
def after_the_look(engine: Engine, act: Callable[[], None]) -> Iterator[None]:
    """Do something once, between the look at an upsert's rows and the upsert."""
    acted = False

    def after(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        nonlocal acted
        if statement.startswith("SELECT page.id") and not acted:
            acted = True
            act()

    event.listen(engine, "after_cursor_execute", after)
    yield
    event.remove(engine, "after_cursor_execute", after)
    assert acted


def test_a_row_that_an_upsert_will_update_is_nobody_elses_meanwhile(capture: Capture) -> None:
    if capture.engine.dialect.name == "sqlite":
        return  # it has one writer at a time

    def move() -> None:
        with Session(capture.engine) as other:
            other.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                other.execute(text("UPDATE page SET project_id = 6 WHERE id = 1"))

    with after_the_look(capture.engine, move):
        upsert(capture, 1, 5)


def test_a_row_that_somebody_makes_before_an_upsert_does_leaves_doubt(capture: Capture) -> None:
    if capture.engine.dialect.name == "sqlite":
        return

    def make() -> None:
        with Session(capture.engine) as other, other.begin():
            other.add(Page(id=50, project_id=6))

    with Session(capture.engine) as session, session.begin():
        session.merge(Project(id=6))
    with after_the_look(capture.engine, make):
        upsert(capture, 50, 5)
    assert DOUBT in capture.told()[-1], "where the row was before, nobody knows"
    upsert(capture, 51, 5)
    assert [change.type for commit in capture.commits() for change in commit.changes] == ["create"]
