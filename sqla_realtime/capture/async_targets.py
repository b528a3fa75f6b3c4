"""What enable() can be given of SQLAlchemy's asyncio. Imported only where the application has imported that."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import URL, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from sqla_realtime.capture.targets import Target, resolve

log = logging.getLogger(__name__)

# The drivers that asyncio uses, and the ones that read the same database from a thread.
_SYNC_DRIVERS = {
    "sqlite+aiosqlite": "sqlite",
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# What asyncpg's URLs may say that the other driver does not know.
_ASYNCPG_ALONE = ("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback", "command_timeout")


def resolve_async(target: Any) -> Target | None:
    """What stands behind it, None for what is not of asyncio."""
    match target:
        case async_sessionmaker():
            return _factory(target)
        case async_scoped_session():
            return resolve(target.session_factory)
        case AsyncSession():
            return resolve(target.sync_session)
        case type() if issubclass(target, AsyncSession) and target is not AsyncSession:
            target.sync_session_class = own(target.sync_session_class)
            return Target(target.sync_session_class, None)
    return None


def _factory(target: async_sessionmaker[Any]) -> Target:
    """A class of its own for the Sessions of this factory: by default they share SQLAlchemy's own with everybody."""
    given = target.kw.get("sync_session_class") or target.class_.sync_session_class
    listen = own(given)
    if listen is not given:
        target.configure(sync_session_class=listen)
    bind = target.kw.get("bind")
    return Target(listen, _reading_session(bind) if isinstance(bind, AsyncEngine) else None)


def own(listen: type[Session]) -> type[Session]:
    return type("Session", (Session,), {}) if listen is Session else listen


def _reading_session(bind: AsyncEngine) -> Callable[[], Session] | None:
    """Snapshots are read in threads, where the application's event loop and its connections are out of reach."""
    url = bind.url
    if url.drivername not in _SYNC_DRIVERS:
        log.error(
            "Snapshots can't be read: no driver that works in a thread is known for %s. "
            "Give enable(..., bind=) an engine that has one. [no-bind]",
            url.drivername,
        )
        return None
    if bind.dialect.name == "sqlite" and _in_memory(url):
        log.error(
            "Snapshots can't be read: an in-memory SQLite database is seen by nobody but the connection that made it. "
            "Use a file. [no-bind]"
        )
        return None
    if "asyncpg" in url.drivername:
        url = url.difference_update_query(_ASYNCPG_ALONE)
        if "ssl" in url.query:
            url = url.difference_update_query(["ssl"]).update_query_dict({"sslmode": url.query["ssl"]})
    return sessionmaker(create_engine(url.set(drivername=_SYNC_DRIVERS[url.drivername]), poolclass=QueuePool))


def _in_memory(url: URL) -> bool:
    """Whether a SQLite database is seen by one connection only."""
    named = f"{url.database or ':memory:'}?mode={url.query.get('mode', '')}"
    return (":memory:" in named or "?mode=memory" in named) and url.query.get("cache") != "shared"
