"""What stands behind SQLAlchemy's asyncio classes; what their Sessions then tell is in test_async.py."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime.capture.async_targets import resolve_async


def test_a_factory_gets_a_session_class_of_its_own() -> None:
    factory = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///file.db"))
    target = resolve_async(factory)
    assert target is not None
    assert target.listen is not Session, "that would be everybody's"
    assert issubclass(type(factory().sync_session), target.listen)  # type: ignore[arg-type]
    again = resolve_async(factory)
    assert again is not None
    assert again.listen is target.listen
    assert target.session is not None, "snapshots are read with the driver that works in a thread"


def test_scoped_ones_classes_and_instances() -> None:
    factory = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///file.db"))
    scoped = resolve_async(async_scoped_session(factory, scopefunc=lambda: 1))
    assert scoped is not None

    class Own(AsyncSession):
        pass

    target, one = resolve_async(Own), AsyncSession()
    assert target is not None
    assert Own.sync_session_class is target.listen
    single = resolve_async(one)
    assert single is not None
    assert single.listen is one.sync_session


def test_what_is_not_of_asyncio_is_not_known_here() -> None:
    assert resolve_async(sessionmaker()) is None
    assert resolve_async(AsyncSession) is None, "that one is everybody's"
    assert resolve_async(object()) is None


def test_what_no_thread_can_read_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    target = resolve_async(async_sessionmaker(create_async_engine("sqlite+aiosqlite:///:memory:")))
    assert target is not None
    assert target.session is None
    assert "[no-bind]" in caplog.text
