"""AsyncSessions on aiosqlite, psycopg and asyncpg: told like any other, without loading anything, and read by threads."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from sqla_realtime import Realtime, anyone
from sqla_realtime.capture.silence import silence
from sqla_realtime.capture.targets import resolve
from tests.support.capture import Capture
from tests.support.databases import postgres_engine, sqlite_engine
from tests.support.models import Base, Page, PageOut, Project
from tests.support.peer import Peer
from tests.support.scene import live

DRIVERS = ["sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg"]

Factory = async_sessionmaker[AsyncSession]
Work = Callable[[Factory], Awaitable[None]]


@pytest.fixture(params=DRIVERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Engine, str]]:
    """A database with the test models, and the driver that asyncio reaches it with."""
    driver: str = request.param
    if driver.startswith("sqlite"):
        engine = sqlite_engine(tmp_path)
        Base.metadata.create_all(engine)
        yield engine, driver
        engine.dispose()
    else:
        with postgres_engine() as engine:
            Base.metadata.create_all(engine)
            yield engine, driver


@asynccontextmanager
async def reached(engine: Engine, driver: str) -> AsyncIterator[AsyncEngine]:
    """The engine's database, by another driver."""
    made = create_async_engine(engine.url.set(drivername=driver))
    if driver.startswith("sqlite"):

        @event.listens_for(made.sync_engine, "connect")
        def connect(connection: Any, record: object) -> None:
            connection.isolation_level = None

        @event.listens_for(made.sync_engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

    try:
        yield made
    finally:
        await made.dispose()


@pytest.fixture
def run(database: tuple[Engine, str]) -> Callable[[Work], list[list[str]]]:
    """Runs a coroutine function with an enabled factory; what its commits told, without the place and the record."""
    engine, driver = database
    with Session(engine) as session:
        session.add(Project(id=5, pages=[Page(id=1, title="a")]))
        session.commit()

    def run(work: Work, **options: Any) -> list[list[str]]:
        capture = Capture(engine)

        async def main() -> None:
            async with reached(engine, driver) as made:
                sessions = async_sessionmaker(made, **options)
                capture.hooks.enable(resolve(sessions))
                sessions.kw.setdefault("info", {})["capture"] = capture
                await work(sessions)

        asyncio.run(main())
        assert not capture.broker._line
        return [[f"{change.type} {change.id}" for change in commit.changes] for commit in capture.commits()]

    return run


def new(number: int, **values: Any) -> Page:
    return Page(id=number, project_id=5, **values)


def test_commits_of_a_factory_are_told(run: Callable[[Work], Any]) -> None:
    async def work(sessions: Factory) -> None:
        async with sessions.begin() as session:
            session.add_all([new(2), new(3)])
        async with sessions() as session:
            (await session.get_one(Page, 2)).title = "b"
            await session.commit()
            await session.execute(update(Page).where(Page.id == 3).values(title="c"))
            await session.commit()
            await session.delete(await session.get_one(Page, 3))
            await session.commit()

    assert run(work) == [["create 2", "create 3"], ["update 2"], ["update 3"], ["destroy 3"]]


def test_what_was_rolled_back_is_not(run: Callable[[Work], Any]) -> None:
    async def work(sessions: Factory) -> None:
        async with sessions() as session:
            session.add(new(2))
            await session.flush()
            nested = await session.begin_nested()
            session.add(new(3))
            await session.flush()
            await nested.rollback()
            async with session.begin_nested():
                session.add(new(4))
            await session.commit()
            session.add(new(5))
            await session.flush()
            await session.rollback()
            session.add(new(6))
            await session.flush()
        async with sessions() as session:
            session.add(new(2))
            with pytest.raises(IntegrityError):
                await session.commit()
            await session.rollback()
            session.add(new(7))
            await session.commit()

    assert run(work) == [["create 2", "create 4"], ["create 7"]]


def test_a_class_an_instance_and_a_scope(run: Callable[..., Any]) -> None:
    class Mine(AsyncSession):
        pass

    async def work(sessions: Factory) -> None:
        bind, capture = sessions.kw["bind"], sessions.kw["info"]["capture"]
        capture.hooks.enable(resolve(Mine))
        async with Mine(bind) as session:
            session.add(new(2))
            await session.commit()
        async with AsyncSession(bind) as session:
            session.add(new(3))
            await session.commit()
            capture.hooks.enable(resolve(session))
            session.add(new(4))
            await session.commit()
        other = async_sessionmaker(bind)
        scope = async_scoped_session(other, scopefunc=asyncio.current_task)
        capture.hooks.enable(resolve(scope))
        scope.add(new(5))
        await scope.commit()
        await scope.remove()
        async with other.begin() as session:
            session.add(new(6))
        capture.hooks.disable(resolve(other))
        async with other.begin() as session:
            session.add(new(7))

    assert run(work) == [["create 2"], ["create 4"], ["create 5"], ["create 6"]]


def test_tasks_side_by_side(run: Callable[[Work], Any]) -> None:
    async def write(sessions: Factory, number: int) -> None:
        async with sessions() as session:
            session.add(new(number))
            await session.flush()
            if number % 3:
                await session.commit()
            else:
                await session.rollback()

    async def work(sessions: Factory) -> None:
        if sessions.kw["bind"].dialect.name == "sqlite":
            # One writer at a time is all that SQLite has.
            for number in range(10, 30):
                await write(sessions, number)
        else:
            await asyncio.gather(*(write(sessions, number) for number in range(10, 30)))

    assert sorted(run(work)) == [[f"create {number}"] for number in range(10, 30) if number % 3]


def test_a_suppressed_task_is_not_told_and_its_neighbour_is(run: Callable[[Work], Any]) -> None:
    async def work(sessions: Factory) -> None:
        quiet, loud = asyncio.Event(), asyncio.Event()

        async def hush() -> None:
            with silence(sessions.kw["info"]["capture"].hooks):
                quiet.set()
                await loud.wait()
                async with sessions.begin() as session:
                    session.add(new(3))
                    await session.flush()
                    session.add(new(4))

        async def speak() -> None:
            await quiet.wait()
            async with sessions.begin() as session:
                session.add(new(2))
            loud.set()

        await asyncio.gather(hush(), speak())
        async with sessions(info={"realtime": False}) as session:
            session.add(new(5))
            await session.commit()
        async with sessions.begin() as session:
            session.add(new(6))

    assert run(work) == [["create 2"], ["create 6"]]


def test_nothing_is_loaded_by_us(run: Callable[..., Any]) -> None:
    """Under AsyncSession whatever loads by itself raises MissingGreenlet; what the user expired stays expired."""

    async def work(sessions: Factory) -> None:
        statements: list[str] = []
        async with sessions() as session:
            await session.connection()
            engine = sessions.kw["bind"].sync_engine
            commit = engine.dialect.do_commit
            engine.dialect.do_commit = lambda connection: (commit(connection), statements.clear())
            event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
            session.add(page := new(2))
            await session.flush()
            page.size = func.length("four")
            await session.flush()
            assert "size" not in page.__dict__
            await session.commit()
            assert statements == []
            assert "project" not in page.__dict__
            assert await session.scalar(select(Page.size).where(Page.id == 2)) == 4

    assert run(work, expire_on_commit=False) == [["create 2"]]


def test_no_object_is_kept_alive(run: Callable[[Work], Any]) -> None:
    dead: list[weakref.ref[Any]] = []

    async def use(sessions: Factory) -> None:
        async with sessions() as session:
            session.add(page := new(2))
            await session.commit()
            dead.extend([weakref.ref(page), weakref.ref(session.sync_session)])

    async def work(sessions: Factory) -> None:
        await use(sessions)
        gc.collect()
        assert [each() for each in dead] == [None, None]

    assert run(work) == [["create 2"]]


@live
async def test_clients_of_an_async_application(database: tuple[Engine, str], realtime: Callable[..., Realtime]) -> None:
    """The whole way: the snapshot by a thread, on another driver where it must be, and the commit that follows."""
    app = realtime()
    app.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
    async with reached(*database) as engine:
        sessions = async_sessionmaker(engine)
        app.enable(sessions)
        async with sessions.begin() as session:
            session.add_all([Project(id=5), new(1, title="a")])
        app.start()
        async with Peer(app.port) as peer:
            await peer.hello()
            await peer.subscribe("projects/5/pages")
            async with sessions.begin() as session:
                session.add(new(2, title="b"))
            await peer.hear()
        app.stop()
    titles = {key: record["title"] for key, record in peer.rows["projects/5/pages"].items()}
    assert titles == {("Page", "1"): "a", ("Page", "2"): "b"}
    assert app._application.session is not None
    app._application.session().get_bind().dispose()  # type: ignore[union-attr]
