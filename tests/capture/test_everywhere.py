"""Everywhere that capture is enabled: every kind of Session, overlapping, twice, disabled again, and used by many threads."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from pydantic import BaseModel
from sqlalchemy import Engine, event, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlmodel import Field, SQLModel
from sqlmodel import Session as SQLModelSession

from sqla_realtime.capture.targets import resolve
from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture
from tests.support.models import Page, Project

CREATED = [['create projects/5/pages Page 2 {"id":2,"project_id":5,"title":"x","size":7}']]


class Own(Session):
    """An application's own Session class."""


class Leaf(Own):
    """And one derived from it."""


@pytest.fixture
def made() -> Iterator[list[Capture]]:
    """Captures to disable afterwards: what listens to Session itself would hear the other tests."""
    captures: list[Capture] = []
    yield captures
    for capture in captures:
        for target in [each() for each in capture.hooks._targets.values()]:
            capture.hooks.disable(resolve(target))
        assert not capture.hooks._heard


@pytest.fixture
def start(engine: Engine, made: list[Capture]) -> Callable[..., Capture]:
    """A Capture of a target, with a project to put pages into."""

    def start(*targets: Any) -> Capture:
        with Session(engine) as session:
            session.add(Project(id=5))
            session.commit()
        capture = Capture(engine, target=targets[0])
        made.append(capture)
        for target in targets[1:]:
            capture.hooks.enable(resolve(target))
        return capture

    return start


def add(session: Session, number: int = 2) -> None:
    session.add(Page(id=number, project_id=5, title="x"))


WAYS: dict[str, Callable[[Engine], tuple[Any, Callable[[], Session]]]] = {
    "Session": lambda engine: (Session, lambda: Session(engine)),
    "Session, used by a sessionmaker": lambda engine: (Session, sessionmaker(engine)),
    "a subclass": lambda engine: (Own, lambda: Own(engine)),
    "a subclass of a subclass": lambda engine: (Own, lambda: Leaf(engine)),
    "a subclass, used by a sessionmaker": lambda engine: (Own, sessionmaker(engine, class_=Own)),
    "a sessionmaker": lambda engine: ((maker := sessionmaker(engine)), maker),
    "a sessionmaker of a subclass": lambda engine: ((maker := sessionmaker(engine, class_=Own)), maker),
    "a scoped_session": lambda engine: ((scope := scoped_session(sessionmaker(engine))), scope),
    "an instance": lambda engine: ((session := Session(engine)), lambda: session),
    "SQLModel's Session": lambda engine: (SQLModelSession, lambda: SQLModelSession(engine)),
    "a sessionmaker of SQLModel's": lambda engine: ((maker := sessionmaker(engine, class_=SQLModelSession)), maker),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_commit_is_told_once(
    start: Callable[..., Capture], engine: Engine, way: Callable[[Engine], tuple[Any, Callable[[], Session]]]
) -> None:
    target, make = way(engine)
    capture = start(target)
    session = make()
    add(session)
    session.commit()
    session.close()
    assert capture.told() == CREATED
    capture.hooks.disable(resolve(target))
    session = make()
    add(session, 3)
    session.commit()
    session.close()
    assert capture.silent()


def test_a_factory_speaks_for_its_own_sessions_only(start: Callable[..., Capture], engine: Engine) -> None:
    mine = sessionmaker(engine)
    capture = start(mine)
    for make in (sessionmaker(engine), lambda: Session(engine), lambda: Own(engine)):
        with make() as session:
            add(session)
            session.flush()
            session.rollback()
            add(session)
            session.commit()
            session.delete(session.get_one(Page, 2))
            session.commit()
    assert capture.silent()


def test_targets_that_overlap_tell_once(start: Callable[..., Capture], engine: Engine) -> None:
    maker = sessionmaker(engine, class_=Own)
    with maker() as session:
        capture = start(Session, Own, maker, scoped_session(maker), session, Session)
        add(session)
        session.flush()
        with session.begin_nested():
            add(session, 3)
        session.commit()
        assert [[change.id for change in commit.changes] for commit in capture.commits()] == [["2", "3"]]
        for target in (Session, maker, session):
            capture.hooks.disable(resolve(target))
        add(session, 4)
        session.commit()
        assert [change.id for commit in capture.commits() for change in commit.changes] == ["4"]
        capture.hooks.disable(resolve(Own))
        add(session, 5)
        session.commit()
        assert capture.silent()


def test_a_transaction_that_is_open_is_told_whole_or_not_at_all(start: Callable[..., Capture], engine: Engine) -> None:
    maker = sessionmaker(engine)
    capture = start(maker)
    with maker() as session:
        add(session)
        session.flush()
        capture.hooks.disable(resolve(maker))
        with session.begin_nested():
            add(session, 3)
        session.execute(select(Page).where(Page.id == 2)).scalar_one().title = "y"
        session.commit()
        [commit] = capture.commits()
        assert [(change.type, change.id) for change in commit.changes] == [("create", "2"), ("create", "3")]
        assert b'"y"' in (commit.changes[0].record or b"")
        add(session, 4)
        session.flush()
        capture.hooks.enable(resolve(maker))
        add(session, 5)
        session.commit()
        assert capture.silent()
        add(session, 6)
        session.commit()
    assert [change.id for commit in capture.commits() for change in commit.changes] == ["6"]
    assert not list(capture.hooks._sessions)


def test_disabling_one_leaves_the_other_realtime(start: Callable[..., Capture], engine: Engine) -> None:
    maker = sessionmaker(engine)
    one = start(maker)
    other = Capture(engine, target=maker)
    one.hooks.disable(resolve(maker))
    with maker.begin() as session:
        add(session)
    assert one.silent()
    assert other.told() == CREATED


def test_nothing_loads_after_the_commit(start: Callable[..., Capture], engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = sessionmaker(engine)
    capture = start(maker)
    statements: list[str] = []
    with maker() as session:
        session.connection()
        add(session)
        commit = engine.dialect.do_commit
        monkeypatch.setattr(engine.dialect, "do_commit", lambda connection: (commit(connection), statements.clear()))
        event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        session.commit()
        assert statements == []
        assert capture.told() == CREATED
        assert statements == []


def test_no_object_is_kept_alive(start: Callable[..., Capture], engine: Engine) -> None:
    maker = sessionmaker(engine)
    capture = start(maker)
    dead: list[weakref.ref[Any]] = []

    def use() -> None:
        session = maker()
        pages = [Page(id=number, project_id=5) for number in range(2, 8)]
        session.add_all(pages)
        session.flush()
        pages[0].title = "y"
        pages[1].id = 9
        session.delete(pages[2])
        session.flush()
        dead.extend([*map(weakref.ref, pages), weakref.ref(session)])
        pages.clear()
        gc.collect()
        # While the transaction is open too.
        assert [each() for each in dead[:-1]] == [None] * 6
        session.get_one(Page, 2).title = "z"
        session.commit()

    use()
    gc.collect()
    assert [each() for each in dead] == [None] * 7
    assert len(capture.commits()) == 1
    assert not list(capture.hooks._sessions)
    assert not list(capture.hooks._sessions._users)
    assert not list(capture.hooks._ledgers._ledgers)


def test_what_is_enabled_is_not_kept_alive(start: Callable[..., Capture], engine: Engine) -> None:
    session = Session(engine)
    capture = start(session)
    assert capture.hooks.enabled
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    assert not capture.hooks.enabled


def test_threads_with_sessions_of_their_own(start: Callable[..., Capture], engine: Engine) -> None:
    scope = scoped_session(sessionmaker(engine))
    capture = start(scope)
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, first + 20):
                add(scope(), number)
                if number % 3:
                    scope.commit()
                else:
                    scope.flush()
                    scope.rollback()
            scope.remove()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(1000 * each,)) for each in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    told = [[int(change.id) for change in commit.changes] for commit in capture.commits()]
    kept = [1000 * each + number for each in range(1, 5) for number in range(20) if (1000 * each + number) % 3]
    assert sorted(told) == [[number] for number in kept]


def test_one_session_that_goes_from_thread_to_thread(start: Callable[..., Capture], engine: Engine) -> None:
    maker = sessionmaker(engine)
    capture = start(maker)
    session = maker()
    add(session)
    for step in (session.flush, lambda: add(session, 3), session.commit, session.close):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert [[change.id for change in commit.changes] for commit in capture.commits()] == [["2", "3"]]


class Out(BaseModel):
    """A name and an id."""

    id: int
    name: str


@pytest.mark.parametrize("target", ["db", "db.session"])
def test_flask_sqlalchemy_with_two_binds(tmp_path: Path, engine: Engine, target: str) -> None:
    app, db = Flask(__name__), SQLAlchemy()
    # SQLAlchemy hides passwords in str(); there is none here, but there could be.
    app.config["SQLALCHEMY_DATABASE_URI"] = engine.url
    app.config["SQLALCHEMY_BINDS"] = {"other": f"sqlite:///{tmp_path / 'other.db'}"}
    db.init_app(app)

    class Here(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(20))

    class There(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "other"
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(20))

    publications = (Publication(Here, Out, "here"), Publication(There, Out, "there"))
    capture = Capture(engine, *publications, target=db if target == "db" else db.session)
    with app.app_context():
        db.create_all()
        db.session.add_all([Here(id=1, name="a"), There(id=1, name="b")])
        db.session.commit()
        told = [line for commit in capture.told() for line in commit]
        assert sorted(told) == ['create here Here 1 {"id":1,"name":"a"}', 'create there There 1 {"id":1,"name":"b"}']
        There.query.filter_by(id=1).update({"name": "c"})
        db.session.rollback()
        Here.query.filter_by(id=1).update({"name": "d"})
        db.session.commit()
        assert capture.told() == [['update here Here 1 +name {"id":1,"name":"d"}']]
        for each in db.engines.values():
            each.dispose()


class Hero(SQLModel, table=True):
    """Model and schema in one, as SQLModel has it."""

    id: int | None = Field(default=None, primary_key=True)
    name: str
    secrets: str = ""


class HeroOut(SQLModel):
    """What leaves of it."""

    id: int
    name: str


def test_sqlmodels_models_and_schemas(engine: Engine) -> None:
    SQLModel.metadata.create_all(engine)
    capture = Capture(engine, Publication(Hero, HeroOut, "heroes"), target=sessionmaker(engine, class_=SQLModelSession))
    capture.hooks.enable(resolve(SQLModelSession))
    try:
        with SQLModelSession(engine) as session:
            session.add(hero := Hero(id=1, name="a", secrets="b"))
            session.commit()
            hero.name = "c"
            session.commit()
            session.delete(hero)
            session.commit()
    finally:
        capture.hooks.disable(resolve(SQLModelSession))
    assert capture.told() == [
        ['create heroes Hero 1 {"id":1,"name":"a"}'],
        ['update heroes Hero 1 +name {"id":1,"name":"c"}'],
        ["destroy heroes Hero 1"],
    ]


def test_the_table_model_of_sqlmodel_as_its_own_schema(sqlite: Engine) -> None:
    SQLModel.metadata.create_all(sqlite)
    capture = Capture(sqlite, Publication(Hero, Hero, "heroes", expose=["secrets"]))
    with capture.sessions.begin() as session:
        session.add(Hero(id=1, name="a", secrets="b"))
    assert capture.told() == [['create heroes Hero 1 {"id":1,"name":"a","secrets":"b"}']]


def test_a_class_of_async_sessions(start: Callable[..., Capture]) -> None:
    class Mine(AsyncSession):
        pass

    capture = start(Mine)
    engine = create_async_engine("sqlite+aiosqlite:///nowhere.db")
    for make in (lambda: Mine(engine), async_sessionmaker(engine, class_=Mine)):
        assert type(make().sync_session) in [each() for each in capture.hooks._targets.values()]
    assert type(AsyncSession(engine).sync_session) not in [each() for each in capture.hooks._targets.values()]
