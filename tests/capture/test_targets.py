"""Everything that enable() takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

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

    assert resolve(Db()) == resolve(Db.session)


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
