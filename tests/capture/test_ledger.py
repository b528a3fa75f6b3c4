"""Ledgers follow the Connection: names of savepoints, probes of foreign COMMITs, errors, two phases, leftovers."""

from __future__ import annotations

import gc
from collections.abc import Iterable

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.capture.ledger import _probe
from sqla_realtime.commit import Commit
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


# Commits inside a transaction that goes on.


def joined(capture: Capture, connection: Connection, *numbers: int) -> None:
    with capture.sessions(bind=connection) as session:
        session.add_all(Page(id=number, project_id=5) for number in numbers)
        session.commit()


def ids(commits: Iterable[Commit]) -> list[list[str]]:
    return [[change.id for change in commit.changes] for commit in commits]


def held(tap: MemoryBroker) -> list[list[str]]:
    return ids(entry.commit for entry in tap.held())


def test_a_part_is_handed_over_once_and_the_log_is_told_the_whole(capture: Capture) -> None:
    tap = MemoryBroker()
    with capture.engine.connect() as connection, connection.begin() as transaction:
        joined(capture, connection, 2)
        capture.hooks.tap(tap, savepoints=True)
        joined(capture, connection, 3)
        joined(capture, connection)
        joined(capture, connection, 4, 5)
        assert held(tap) == [["3"], ["4", "5"]]
        assert capture.silent()
        assert capture.hooks.waiting
        capture.hooks.untap(tap)
        joined(capture, connection, 6)
        transaction.commit()
    assert held(tap) == [["3"], ["4", "5"]]
    assert ids(capture.commits()) == [["2", "3", "4", "5", "6"]]
    assert not capture.hooks.waiting


def test_a_savepoint_around_a_part_takes_it_out_of_the_whole(capture: Capture) -> None:
    tap = MemoryBroker()
    capture.hooks.tap(tap, savepoints=True)
    with capture.engine.connect() as connection, connection.begin() as transaction:
        joined(capture, connection, 2)
        with connection.begin_nested() as savepoint:
            joined(capture, connection, 3)
            savepoint.rollback()
        joined(capture, connection, 4)
        assert held(tap) == [["2"], ["3"], ["4"]]
        capture.hooks.untap(tap)
        transaction.commit()
    assert ids(capture.commits()) == [["2", "4"]]


def test_what_was_lost_in_a_part_is_lost_in_the_whole(capture: Capture) -> None:
    tap = MemoryBroker()
    capture.hooks.tap(tap, savepoints=True)
    with capture.engine.connect() as connection, connection.begin() as transaction:
        with capture.sessions(bind=connection) as session:
            session.execute(text("UPDATE page SET title = 'raw'"))
            session.commit()
        joined(capture, connection, 2)
        assert [bool(entry.commit.invalidated) for entry in tap.held()] == [True, False]
        capture.hooks.untap(tap)
        transaction.commit()
    [commit] = capture.commits()
    assert commit.invalidated == {"projects/{project_id}/pages"}
    assert ids([commit]) == [["2"]]
