"""Which kinds of databases can keep a log, and an engine of one's own for each: this is the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import SingletonThreadPool, StaticPool

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


def journal_of(name: str) -> Journal:
    """The journal of a dialect. Raises LogUnsuitable."""
    if name not in _KINDS:
        raise LogUnsuitable(
            reason=f"{name} can't keep the log", remedy=f"Use one of {', '.join(_KINDS)}, or Realtime() with its own log."
        )
    return _KINDS[name]()


def own_engine(engine: Engine) -> Engine:
    """An engine on the same database whose connections are nobody else's and commit by themselves. Raises LogUnsuitable."""
    url = engine.url
    if isinstance(engine.pool, SingletonThreadPool | StaticPool) or (
        url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    ):
        raise LogUnsuitable(reason="a database in memory is one connection's alone", remedy="Use a file, or Realtime().")
    return create_engine(url, pool=engine.pool.recreate(), isolation_level="AUTOCOMMIT")
