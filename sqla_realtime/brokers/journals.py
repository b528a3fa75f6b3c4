"""Which kinds of databases can keep a log, and an engine of one's own for each: this is the one place that knows them all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import ceil
from typing import Any

from sqlalchemy import Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool

from sqla_realtime.brokers.journal import Journal
from sqla_realtime.brokers.mysql import MysqlJournal
from sqla_realtime.brokers.postgres import PostgresJournal
from sqla_realtime.brokers.sqlite import SqliteJournal
from sqla_realtime.errors import LogUnsuitable

_KINDS: dict[str, Callable[[], Journal]] = {
    "sqlite": SqliteJournal,
    "postgresql": PostgresJournal,
    "mysql": MysqlJournal,
    "mariadb": MysqlJournal,
}
# The drivers that take the parameters of libpq.
_LIBPQ = ("psycopg", "psycopg2")

# Of which dialect a thread's own connections are, and to what they are limited.
_own = threading.local()


def journal_of(name: str) -> Journal:
    """The journal of a dialect. Raises LogUnsuitable."""
    if name not in _KINDS:
        raise LogUnsuitable(
            reason=f"{name} can't keep the log", remedy=f"Use one of {', '.join(_KINDS)}, or Realtime() with its own log."
        )
    return _KINDS[name]()


def own_engine(engine: Engine, url: str | None = None, patience: float = 10.0) -> Engine:
    """An engine on the same database for the thread that calls this, whose connections are nobody else's and commit by
    themselves. ``url`` is another way there. Where nothing can be heard of the server for so many seconds, a connection
    fails. Raises LogUnsuitable."""
    if url is not None:
        return _engine_of(url, engine, patience)
    database = engine.url
    if isinstance(engine.pool, SingletonThreadPool | StaticPool) or (
        database.get_backend_name() == "sqlite" and database.database in (None, "", ":memory:")
    ):
        raise LogUnsuitable(reason="a database in memory is one connection's alone", remedy="Use a file, or Realtime().")
    _own.limits = engine.dialect, _limits(engine.dialect.driver, patience)
    # The application's connections are made in ways that only its engine knows; this is where one can still say how. Where
    # others say it already they know better, and their list must not change while one of them is being called.
    if not engine.dialect.dispatch.do_connect:
        event.listen(engine, "do_connect", _connect)
    return create_engine(database, pool=engine.pool.recreate(), isolation_level="AUTOCOMMIT")


def _connect(dialect: Dialect, record: object, arguments: list[Any], named: dict[str, Any]) -> Any:
    """A connection of a thread that has limits; for any other the engine makes it."""
    limited, limits = getattr(_own, "limits", (None, {}))
    return dialect.connect(*arguments, **{**limits, **named}) if limited is dialect else None


def _engine_of(given: str, engine: Engine, patience: float) -> Engine:
    """What ``log_url`` leads to, with the application's driver where it names none."""
    remedy = f'Write it as create_engine() takes it, such as "{engine.url.drivername}://user@host/{engine.url.database}".'
    try:
        url = make_url(given)
        if "+" not in url.drivername and url.get_backend_name() == engine.dialect.name:
            url = url.set(drivername=engine.url.drivername)
        limits = {name: value for name, value in _limits(url.get_driver_name(), patience).items() if name not in url.query}
        found = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=limits)
    except (ArgumentError, ImportError) as error:
        # The URL stays out of the message: it may have a password in it.
        raise LogUnsuitable(reason="log_url is no URL of a database that there is a driver for", remedy=remedy) from error
    if found.dialect.name != engine.dialect.name:
        raise LogUnsuitable(reason="log_url leads to another kind of database than the application's", remedy=remedy)
    return found


def _limits(driver: str, patience: float) -> dict[str, int]:
    """In the words of libpq, whose own limits are minutes and hours."""
    if driver not in _LIBPQ:
        return {}
    seconds = ceil(patience)
    part = max(seconds // 4, 1)
    return {
        "connect_timeout": max(seconds, 2),
        "keepalives_idle": max(seconds // 2, 1),
        "keepalives_interval": part,
        "keepalives_count": 2,
        "tcp_user_timeout": seconds * 1000,
    }
