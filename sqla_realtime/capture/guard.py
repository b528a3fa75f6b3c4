"""Our own statements inside the user's transaction: they can fail without taking it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from sqla_realtime.capture.ledger import Ledger

_NAME = "sqla_realtime_aside"


@contextmanager
def aside(connection: Connection, ledger: Ledger) -> Iterator[None]:
    """Run statements on the transaction's Connection, unseen by its ledger.

    A failed statement aborts a PostgreSQL transaction, and the COMMIT that follows becomes a ROLLBACK without a word.
    So they run in a savepoint; the exception still reaches the caller. SQLite loses nothing, so it is spared the cost.
    Where COMMIT comes next, it takes the savepoint with it, and nobody need release it.

    SQLAlchemy's own savepoints cost as much again as what is read in them, and tell their listeners.
    """
    ledger.busy = True
    try:
        if connection.dialect.name == "sqlite":
            yield
        else:
            connection.exec_driver_sql(f"SAVEPOINT {_NAME}")
            try:
                yield
            except BaseException:
                connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_NAME}")
                connection.exec_driver_sql(f"RELEASE SAVEPOINT {_NAME}")
                raise
            if not ledger.sealed:
                connection.exec_driver_sql(f"RELEASE SAVEPOINT {_NAME}")
    finally:
        ledger.busy = False
