"""Our statements in the user's transaction: a failure costs the transaction nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.tracker import Tracker
from tests.support.capture import Capture
from tests.support.mariadb import mysql_engine
from tests.support.models import Base, Page, Project


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


def by_statement(session: Session) -> None:
    session.execute(update(Page).where(Page.id == 1).values(project_id=6))


def by_flush(session: Session) -> None:
    session.get_one(Page, 1).project_id = 6
    session.flush()


@pytest.mark.parametrize("move", [by_statement, by_flush])
def test_a_deadlock_that_our_look_runs_into_is_the_users(move: Callable[[Session], None]) -> None:
    """MySQL has rolled everything back by then; if he was not told, the rest would be committed without the first half."""
    with mysql_engine() as engine, ThreadPoolExecutor(1) as pool:
        Base.metadata.create_all(engine)
        capture = Capture(engine)
        with Session(engine) as session, session.begin():
            session.add_all([Project(id=5), Project(id=6)])
            session.flush()
            session.add_all([Page(id=number, project_id=5) for number in range(1, 9)])
        with engine.connect() as other, capture.sessions() as session:
            # Whoever has changed less is the one who loses.
            for number in (1, 3, 4, 5, 6, 7, 8):
                other.execute(text("UPDATE page SET title = 'other' WHERE id = :id"), {"id": number})
            session.get_one(Page, 2).title = "first half"
            session.flush()
            waits = pool.submit(other.execute, text("UPDATE page SET title = 'other' WHERE id = 2"))
            with pytest.raises(OperationalError, match="1213"):
                move(session)
            session.rollback()
            waits.result()
            other.rollback()
        assert capture.silent()
        with Session(engine) as session:
            assert {page.title for page in session.query(Page)} == {""}
