"""What enable() can be given, and what stands behind it: the Session class to listen to, and where its rows are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_realtime.errors import NotEnableable

# Drivers that only asyncio can use, and the ones that read the same database from a thread.
_SYNC_DRIVERS = {"sqlite+aiosqlite": "sqlite", "postgresql+asyncpg": "postgresql+psycopg"}


@dataclass(frozen=True, slots=True)
class Target:
    """``listen`` is the Session class, or the one Session, that gets the listeners; ``session`` makes a Session that
    reads snapshots in a thread, None where that can't be derived from what was given."""

    listen: type[Session] | Session
    session: Callable[[], Session] | None


def resolve(target: Any) -> Target:
    """What stands behind a sessionmaker, scoped_session, Session class or instance, their asyncio counterparts, or an
    object with a scoped ``session`` such as Flask-SQLAlchemy's ``db``. Raises NotEnableable for anything else."""
    match target:
        case sessionmaker():
            return Target(target.class_, target)
        case scoped_session() | async_scoped_session():
            return resolve(target.session_factory)
        case async_sessionmaker():
            return _resolve_async(target)
        case Session():
            bind = target.bind
            return Target(target, (lambda: Session(bind)) if isinstance(bind, Engine) else None)
        case AsyncSession():
            return resolve(target.sync_session)
        case type() if issubclass(target, Session):
            return Target(target, None)
    inner = getattr(target, "session", None)
    if isinstance(inner, scoped_session | async_scoped_session):
        return resolve(inner)
    raise NotEnableable(target=target)


def _resolve_async(target: async_sessionmaker[Any]) -> Target:
    """A class of its own for the Sessions of this factory: by default they share SQLAlchemy's own with everybody."""
    listen = target.kw.get("sync_session_class") or target.class_.sync_session_class
    if listen is Session:
        listen = type("Session", (Session,), {})
        target.configure(sync_session_class=listen)
    bind = target.kw.get("bind")
    return Target(listen, _reading_session(bind) if bind is not None else None)


def _reading_session(bind: Any) -> Callable[[], Session] | None:
    """Snapshots are read in threads, where the application's event loop and its connections are out of reach."""
    if isinstance(bind, Connection) or not isinstance(bind, AsyncEngine):
        return None
    url = bind.url.set(drivername=_SYNC_DRIVERS.get(bind.url.drivername, bind.url.drivername))
    return sessionmaker(create_engine(url))
