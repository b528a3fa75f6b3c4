"""The log in the database, written by every kind of transaction: its rows and its commit are there together, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from sqla_realtime import Realtime, anyone
from sqla_realtime.brokers.spelling import read
from sqla_realtime.errors import LogUnwritable
from tests.support.models import Page, PageOut, Project

Make = Callable[..., Realtime]


@pytest.fixture
def shared(realtime: Make, engine: Engine, sessions: sessionmaker[Session]) -> Realtime:
    """Pages, with the log in their database."""
    made = realtime(broker="database")
    made.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
    made.enable(sessions)
    made.metadata.create_all(engine)
    with sessions() as session, session.begin():
        session.add(Project(id=1))
    return made


def logged(engine: Engine) -> list[list[str]]:
    """The titles in each commit of the log."""
    with engine.connect() as connection:
        bodies = connection.execute(text("SELECT body FROM realtime_log ORDER BY id")).scalars().all()
    return [
        [change.record.decode().split('"title":"')[1].split('"')[0] for change in read(body).changes if change.record]
        for body in bodies
    ]


def page(title: str) -> Page:
    return Page(project_id=1, title=title)


@pytest.mark.usefixtures("shared")
def test_a_commit_is_in_the_log_and_a_rollback_is_not(engine: Engine, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.add(page("one"))
        session.commit()
        session.add(page("lost"))
        session.flush()
        session.rollback()
        session.add(page("two"))
        with session.begin_nested() as savepoint:
            session.add(page("also lost"))
            session.flush()
            savepoint.rollback()
        session.commit()
    assert logged(engine) == [["one"], ["two"]]


@pytest.mark.usefixtures("shared")
def test_a_session_inside_somebody_elses_transaction_shares_its_fate(engine: Engine, sessions: sessionmaker[Session]) -> None:
    for ends, wanted in (("rollback", []), ("commit", [["inner"]])):
        with engine.connect() as connection, connection.begin() as transaction:
            with sessions(bind=connection) as session:
                session.add(page("inner"))
                session.commit()
            getattr(transaction, ends)()
        assert logged(engine) == wanted


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("engine", ["postgres", "mysql"], indirect=True)
def test_both_phases_of_a_commit(engine: Engine, sessions: sessionmaker[Session]) -> None:
    with sessions(twophase=True) as session:
        session.add(page("prepared"))
        session.prepare()
        assert logged(engine) == []
        session.commit()
        session.add(page("given up"))
        session.prepare()
        session.rollback()
    assert logged(engine) == [["prepared"]]


def test_what_cannot_be_logged_is_not_committed_and_the_session_goes_on(
    shared: Realtime, engine: Engine, sessions: sessionmaker[Session]
) -> None:
    shared.metadata.drop_all(engine)
    with sessions() as session:
        session.add(page("unheard"))
        with pytest.raises(LogUnwritable, match="sqla-realtime migrate"):
            session.commit()
        session.rollback()
        shared.metadata.create_all(engine)
        session.add(page("heard"))
        session.commit()
        assert list(session.scalars(select(Page.title))) == ["heard"]
    assert logged(engine) == [["heard"]]


@pytest.mark.usefixtures("shared")
def test_what_the_database_refuses_at_the_end_is_no_commit(engine: Engine, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.add(Page(id=1, project_id=1, title="first"))
        session.commit()
    with sessions() as session:
        session.add(Page(id=1, project_id=1, title="second"))
        with pytest.raises(IntegrityError):
            session.commit()
    assert logged(engine) == [["first"]]


def test_async_sessions_write_it_too(realtime: Make, engine: Engine) -> None:
    async def scene(driver: str) -> None:
        url = engine.url.set(drivername=f"{engine.dialect.name}+{driver}")
        own = create_async_engine(url)
        sessions = async_sessionmaker(own)
        made = realtime(broker="database")
        made.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
        made.enable(sessions, bind=engine)
        made.metadata.create_all(engine)
        async with sessions() as session:
            session.add(page(driver))
            await session.commit()
        await own.dispose()

    with Session(engine) as session, session.begin():
        session.add(Project(id=1))
    drivers = {"sqlite": ["aiosqlite"], "postgresql": ["psycopg", "asyncpg"]}[engine.dialect.name]
    for driver in drivers:
        asyncio.run(scene(driver))
    assert logged(engine) == [[driver] for driver in drivers]


def test_who_gets_the_connection_after_a_failed_commit_finds_nothing_of_it(
    shared: Realtime, engine: Engine, sessions: sessionmaker[Session]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE realtime_log RENAME TO elsewhere"))
    session = sessions()
    session.add(page("lost"))
    with pytest.raises(LogUnwritable):
        session.commit()
    session.close()
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedin() == 1
    with engine.begin() as connection:
        assert connection.execute(select(Page.title)).all() == []
    with engine.begin() as connection:
        assert connection.execute(select(Page.title)).all() == []
