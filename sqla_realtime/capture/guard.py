"""Our own statements inside the user's transaction: they can fail without taking it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from sqla_realtime.capture.ledger import Ledger

_NAME = "sqla_realtime_aside"


@contextmanager
def aside(connection: Connection, ledger: Ledger) -> Iterator[None]:
    """Run statements on the transaction's Connection, unseen by its ledger.

    A failed statement aborts a PostgreSQL transaction, and the COMMIT that follows becomes a ROLLBACK without a word.
    So they run in a savepoint; the exception still reaches the caller. SQLite loses nothing, so it is spared the cost.
    Where COMMIT comes next, it takes the savepoint with it, and nobody need release it.

    MySQL ends a deadlock by rolling the whole transaction back, and what is sent then begins another one: half of what the
    user meant would be committed. That can't be kept from him, so ``check`` raises it.

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
            except BaseException as error:
                try:
                    _send(connection, f"ROLLBACK TO SAVEPOINT {_NAME}")
                    _send(connection, f"RELEASE SAVEPOINT {_NAME}")
                except Exception:  # whatever it is: what was there before the savepoint can't be had back
                    ledger.lost = _wrapped(connection, error)
                raise
            if not ledger.sealed:
                _send(connection, f"RELEASE SAVEPOINT {_NAME}")
    finally:
        ledger.busy = False


def check(ledger: Ledger) -> None:
    """Raise what has taken the user's transaction with it, as his own statement would have; to be called where he hears it."""
    if ledger.lost is not None:
        raise ledger.lost


def _wrapped(connection: Connection, error: BaseException) -> BaseException:
    """The error as SQLAlchemy gives it to its users; a driver's own cursor does not."""
    base = connection.dialect.loaded_dbapi.Error
    return DBAPIError.instance(None, None, error, base) if isinstance(error, base) else error


def _send(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()
