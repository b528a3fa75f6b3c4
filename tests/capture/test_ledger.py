"""Ledgers follow the Connection: names of savepoints, probes of foreign COMMITs, errors, two phases, leftovers."""

from __future__ import annotations

import gc

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from sqla_realtime.capture.ledger import _probe
from tests.support.capture import Capture
from tests.support.models import Page, Project


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add(Project(id=5))
    made.commits()
    return made


def test_a_probe_knows_nothing_while_the_transaction_is_open_and_success_afterwards(engine: Engine) -> None:
    with engine.connect() as connection:
        transaction = connection.begin()
        ask = _probe(connection)
        assert ask() is None
        transaction.commit()
        assert ask() is True
        connection.begin()
        assert ask() is True


def test_a_probe_outlives_its_connection(engine: Engine) -> None:
    connection = engine.connect()
    transaction = connection.begin()
    ask = _probe(connection)
    transaction.commit()
    connection.close()
    del connection, transaction
    gc.collect()
    assert ask() is True


def test_a_lost_connection_during_commit_leaves_doubt_and_no_row(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    session = capture.sessions()
    session.add(Page(id=2, project_id=5))
    session.flush()
    dialect = capture.engine.dialect

    class Lost(dialect.dbapi.OperationalError):  # type: ignore[name-defined,misc,union-attr]
        pass

    def fail(connection: object) -> None:
        raise Lost("the server closed the connection")

    monkeypatch.setattr(dialect, "do_commit", fail)
    monkeypatch.setattr(dialect, "is_disconnect", lambda error, connection, cursor: isinstance(error, Lost))
    with pytest.raises(OperationalError):
        session.commit()
    monkeypatch.undo()
    session.close()
    assert capture.told() == [["invalidate projects/5/pages"]]


def test_what_one_transaction_left_on_a_connection_is_not_told_by_the_next(capture: Capture) -> None:
    with capture.engine.connect() as connection:
        transaction = connection.begin()
        session = capture.sessions(bind=connection)
        session.add(Page(id=2, project_id=5))
        session.flush()
        transaction.rollback()
        with connection.begin():
            connection.execute(text("SELECT 1"))
        session.close()
    assert capture.silent()


def test_two_phases_are_told_when_the_second_ends(capture: Capture) -> None:
    if capture.engine.dialect.name == "sqlite":
        return  # SQLite has no second phase
    with capture.engine.connect() as connection:
        if connection.scalar(text("SHOW max_prepared_transactions")) == "0":
            pytest.fail("The test server must allow prepared transactions")
    with capture.sessions(twophase=True) as session:
        session.add(Page(id=2, project_id=5))
        session.prepare()
        assert capture.silent()
        session.commit()
    assert [[change.id for change in commit.changes] for commit in capture.commits()] == [["2"]]
    with capture.sessions(twophase=True) as session:
        session.add(Page(id=3, project_id=5))
        session.prepare()
        session.rollback()
    assert capture.silent()


def test_a_phase_that_nobody_prepared_first(capture: Capture) -> None:
    if capture.engine.dialect.name == "sqlite":
        return
    with capture.sessions(twophase=True) as session:
        session.add(Page(id=2, project_id=5))
        session.commit()
    assert [[change.id for change in commit.changes] for commit in capture.commits()] == [["2"]]
