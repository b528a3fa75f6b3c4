"""Our own statements inside the user's transaction: they can fail without taking it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from sqla_realtime.capture.ledger import Ledger


@contextmanager
def aside(connection: Connection, ledger: Ledger) -> Iterator[None]:
    """Run statements on the transaction's Connection, unseen by its ledger.

    A failed statement aborts a PostgreSQL transaction, and the COMMIT that follows becomes a ROLLBACK without a word.
    So they run in a savepoint; the exception still reaches the caller. SQLite loses nothing, so it is spared the cost.
    """
    ledger.busy = True
    try:
        if connection.dialect.name == "sqlite":
            yield
        else:
            with connection.begin_nested():
                yield
    finally:
        ledger.busy = False
