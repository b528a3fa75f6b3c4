"""Our statements in the user's transaction: a failure costs the transaction nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.tracker import Tracker


def test_a_failed_statement_reaches_us_and_the_transaction_goes_on(engine: Engine) -> None:
    with engine.begin() as connection:
        ledger = Ledger(connection, Tracker())
        connection.execute(text("INSERT INTO project (id, name) VALUES (1, 'kept')"))
        with pytest.raises(DBAPIError), aside(connection, ledger):
            connection.execute(text("SELECT nonsense FROM nowhere"))
        assert not ledger.busy
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT name FROM project")) == "kept"


def test_without_a_savepoint_postgresql_loses_the_commit(engine: Engine) -> None:
    """Why it is there: the same without it. COMMIT raises nothing, and nothing is committed."""
    if engine.dialect.name == "sqlite":
        return
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO project (id, name) VALUES (1, 'lost')"))
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT nonsense FROM nowhere"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT name FROM project")) is None
