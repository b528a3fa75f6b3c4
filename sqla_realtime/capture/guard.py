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

    The savepoint is set on the driver's own cursor: on the way through SQLAlchemy it would cost as much as what is read in
    it, and tell listeners.
    """
    ledger.busy = True
    try:
        if connection.dialect.name == "sqlite":
            yield
        else:
            _send(connection, f"SAVEPOINT {_NAME}")
            try:
                yield
            except BaseException:
                _send(connection, f"ROLLBACK TO SAVEPOINT {_NAME}")
                _send(connection, f"RELEASE SAVEPOINT {_NAME}")
                raise
            if not ledger.sealed:
                _send(connection, f"RELEASE SAVEPOINT {_NAME}")
    finally:
        ledger.busy = False


def _send(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()
