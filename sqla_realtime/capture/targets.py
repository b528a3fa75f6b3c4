"""What enable() can be given, and what stands behind it: the Session class to listen to, and where its rows are read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import QueuePool

from sqla_realtime.errors import NotEnableable

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


@dataclass(frozen=True, slots=True)
class Target:
    """``listen`` is the Session class, or the one Session, that gets the listeners; ``session`` makes a Session that
    reads snapshots in a thread, None where that can't be derived from what was given. ``engines`` are those that are known
    to be used: they get their listeners now, while nobody executes anything."""

    listen: type[Session] | Session
    session: Callable[[], Session] | None
    engines: tuple[Engine, ...] = ()


def resolve(target: Any) -> Target:
    """What stands behind a sessionmaker, scoped_session, Session class or instance, their asyncio counterparts, or an
    object with a scoped ``session`` such as Flask-SQLAlchemy's ``db``. Raises NotEnableable for anything else."""
    match target:
        case sessionmaker():
            return Target(target.class_, target, _engines(target.kw))
        case scoped_session() | async_scoped_session():
            return resolve(target.session_factory)
        case async_sessionmaker():
            return _resolve_async(target)
        case Session():
            bind = target.bind
            return Target(target, (lambda: Session(bind)) if isinstance(bind, Engine) else None, _engines({"bind": bind}))
        case AsyncSession():
            return resolve(target.sync_session)
        case type() if issubclass(target, Session):
            return Target(target, None)
        case type() if issubclass(target, AsyncSession) and target is not AsyncSession:
            target.sync_session_class = _own(target.sync_session_class)
            return Target(target.sync_session_class, None)
    inner = getattr(target, "session", None)
    if isinstance(inner, scoped_session | async_scoped_session):
        return replace(resolve(inner), engines=_engines({"binds": _own_engines(target)}))
    raise NotEnableable(target=target)


def _resolve_async(target: async_sessionmaker[Any]) -> Target:
    """A class of its own for the Sessions of this factory: by default they share SQLAlchemy's own with everybody."""
    given = target.kw.get("sync_session_class") or target.class_.sync_session_class
    listen = _own(given)
    if listen is not given:
        target.configure(sync_session_class=listen)
    bind = target.kw.get("bind")
    return Target(listen, _reading_session(bind) if isinstance(bind, AsyncEngine) else None)


def _own(listen: type[Session]) -> type[Session]:
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


def _engines(options: Mapping[str, Any]) -> tuple[Engine, ...]:
    """The engines among a factory's ``bind`` and ``binds``."""
    binds = [options.get("bind"), *(options.get("binds") or {}).values()]
    known = [getattr(bind, "sync_engine", bind) for bind in (getattr(each, "engine", each) for each in binds)]
    return tuple(dict.fromkeys(engine for engine in known if isinstance(engine, Engine)))


def _own_engines(target: Any) -> Mapping[Any, Any]:
    """Flask-SQLAlchemy keeps the engines itself, and shows them inside its application's context only."""
    try:
        engines: Mapping[Any, Any] = target.engines
    except (AttributeError, LookupError, RuntimeError):
        return {}
    return engines
