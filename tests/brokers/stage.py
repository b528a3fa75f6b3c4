"""Logs in databases for tests: a broker on one, its writers' transactions, and other processes' brokers on the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from sqla_realtime.brokers.base import Ticket
from sqla_realtime.brokers.database import DatabaseBroker
from sqla_realtime.brokers.tables import metadata
from sqla_realtime.commit import Commit
from sqla_realtime.history import Bounds
from tests.support.databases import new_engine


class DatabaseWriter:
    """A transaction with a commit in it."""

    def __init__(self, broker: DatabaseBroker, engine: Engine, commit: Commit) -> None:
        self.connection = engine.connect()
        self.transaction = self.connection.begin()
        broker.stage(commit, self.connection)
        self.ticket: Ticket = broker.begin(commit)

    def commit(self) -> None:
        self.transaction.commit()
        self.connection.close()
        self.ticket.finish(committed=True)

    def rollback(self) -> None:
        self.transaction.rollback()
        self.connection.close()
        self.ticket.finish(committed=False)


class DatabaseLog:
    """A log in an empty database; ``other()`` is what another process has of it."""

    def __init__(self, engine: Engine, bounds: Bounds | None = None, **reading: Any) -> None:
        self.engine = engine
        self._bounds = bounds
        self._reading = reading
        self._others: list[DatabaseBroker] = []
        metadata.create_all(engine)
        self.broker = self.other()

    def other(self) -> DatabaseBroker:
        self._others.append(DatabaseBroker(lambda: self.engine, self._bounds, **self._reading))
        return self._others[-1]

    def write(self, commit: Commit) -> DatabaseWriter:
        return DatabaseWriter(self.broker, self.engine, commit)

    def close(self) -> None:
        for broker in self._others:
            broker.close()


@contextmanager
def database_log(kind: str, folder: Path, bounds: Bounds | None = None, **reading: Any) -> Iterator[DatabaseLog]:
    """A new log of that kind."""
    with new_engine(kind, folder, pool_size=20) as engine, opened(engine, bounds, **reading) as log:
        yield log


@contextmanager
def opened(engine: Engine, bounds: Bounds | None = None, **reading: Any) -> Iterator[DatabaseLog]:
    """A new log in an empty database."""
    log = DatabaseLog(engine, bounds, **reading)
    try:
        yield log
    finally:
        log.close()
