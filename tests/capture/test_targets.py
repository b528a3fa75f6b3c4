"""Everything that enable() takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from sqla_realtime.capture.targets import resolve
from sqla_realtime.errors import NotEnableable


@pytest.fixture
def engine() -> Engine:
    return create_engine("sqlite://")


def test_a_sessionmaker_is_listened_to_by_its_own_class(engine: Engine) -> None:
    sessions = sessionmaker(engine)
    target = resolve(sessions)
    assert target.listen is sessions.class_
    assert target.listen is not Session
    assert target.session is sessions


def test_a_scoped_session_is_its_factory(engine: Engine) -> None:
    sessions = sessionmaker(engine)
    assert resolve(scoped_session(sessions)) == resolve(sessions)


def test_an_object_with_a_scoped_session_is_that(engine: Engine) -> None:
    class Db:
        session = scoped_session(sessionmaker(engine))

    assert resolve(Db()).listen is resolve(Db.session).listen


def test_a_class_does_not_know_its_database() -> None:
    class Own(Session):
        pass

    assert resolve(Own).listen is Own
    assert resolve(Own).session is None


def test_an_instance_reads_where_it_is_bound(engine: Engine) -> None:
    with Session(engine) as session:
        target = resolve(session)
        assert target.listen is session
        assert target.session is not None
        assert target.session().get_bind() is engine
    with engine.connect() as connection, Session(connection) as session:
        assert resolve(session).session is None


def test_an_async_factory_gets_a_class_of_its_own() -> None:
    sessions = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///x.db"))
    target = resolve(sessions)
    assert target.listen is not Session
    assert resolve(sessions).listen is target.listen
    assert type(sessions().sync_session) is target.listen
    assert target.session is not None
    assert str(target.session().get_bind().url) == "sqlite:///x.db"  # type: ignore[union-attr]


def test_an_async_session_and_its_scope() -> None:
    sessions = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///x.db"))
    assert resolve(async_scoped_session(sessions, scopefunc=lambda: 1)).listen is resolve(sessions).listen
    session: AsyncSession = sessions()
    assert resolve(session).listen is session.sync_session


@pytest.mark.parametrize("target", [None, 1, "Session", object(), create_engine, create_engine("sqlite://")])
def test_anything_else_is_refused_with_what_to_pass(target: Any) -> None:
    with pytest.raises(NotEnableable, match="Pass a sessionmaker"):
        resolve(target)


def test_a_subclass_of_async_session_gets_a_class_of_its_own() -> None:
    class Own(AsyncSession):
        pass

    target = resolve(Own)
    assert target.listen is Own.sync_session_class is resolve(Own).listen
    assert target.listen is not Session
    assert AsyncSession.sync_session_class is Session
    assert target.session is None
    with pytest.raises(NotEnableable, match="a subclass of AsyncSession"):
        resolve(AsyncSession)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("sqlite+aiosqlite:////x/y.db", "sqlite:////x/y.db"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg_async://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d?ssl=require", "postgresql+psycopg://u:p@h/d?sslmode=require"),
        (
            "postgresql+asyncpg://u:p@h/d?prepared_statement_cache_size=0&application_name=a",
            "postgresql+psycopg://u:p@h/d?application_name=a",
        ),
    ],
)
def test_snapshots_of_async_factories_are_read_where_their_url_points(url: str, read: str) -> None:
    session = resolve(async_sessionmaker(create_async_engine(url))).session
    assert session is not None
    bind = session().get_bind()
    assert isinstance(bind, Engine)
    assert bind.url.render_as_string(hide_password=False) == read


@pytest.mark.parametrize("name", ["", "/:memory:", "/file::memory:?uri=true", "/file:x?mode=memory&uri=true"])
def test_a_database_in_memory_can_not_be_read_by_threads(name: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite://{name}", poolclass=StaticPool)
    assert resolve(async_sessionmaker(engine)).session is None
    assert "an in-memory SQLite database is seen by nobody but" in caplog.text
    assert "[no-bind]" in caplog.text


def test_a_database_in_memory_that_is_shared_can() -> None:
    engine = create_async_engine("sqlite+aiosqlite:///file:x?mode=memory&cache=shared&uri=true", poolclass=StaticPool)
    assert resolve(async_sessionmaker(engine)).session is not None


def test_a_factory_without_a_bind_of_its_own_is_listened_to() -> None:
    target = resolve(async_sessionmaker())
    assert target.session is None
