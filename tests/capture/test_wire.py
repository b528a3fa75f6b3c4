"""What Connections send is heard, whoever sends it, and nobody else hears less or pays for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, select, text, update
from sqlalchemy.orm import Session

from tests.support.capture import Capture, reads
from tests.support.models import Account, Page, Project

PATTERN = "projects/{project_id}/pages"


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add_all([Project(id=5), Page(id=1, project_id=5, title="a")])
    made.commits()
    return made


def add(session: Session, number: int) -> None:
    session.add(Page(id=number, project_id=5))
    session.flush()


def ids(capture: Capture) -> list[str]:
    commits = capture.commits()
    assert not any(commit.invalidated for commit in commits)
    return [change.id for commit in commits for change in commit.changes]


def savepoint(session: Session, spelling: str) -> None:
    session.connection().exec_driver_sql(spelling)


@pytest.mark.parametrize(
    ("begin", "back"),
    [
        ("SAVEPOINT a", "ROLLBACK TO SAVEPOINT a"),
        ("SAVEPOINT a", "ROLLBACK TO a"),
        ("savepoint a", "rollback to savepoint a"),
        ("  SAVEPOINT\n a", "ROLLBACK\tTO  a"),
        ('SAVEPOINT "a"', 'ROLLBACK TO SAVEPOINT "a"'),
        ("SAVEPOINT a", "ROLLBACK TRANSACTION TO SAVEPOINT a"),
    ],
)
@pytest.mark.parametrize("send", [savepoint, lambda session, spelling: session.execute(text(spelling))])
def test_a_savepoint_that_is_spelled_by_hand_takes_its_rows_with_it(
    capture: Capture, begin: str, back: str, send: Callable[[Session, str], None]
) -> None:
    with capture.sessions.begin() as session:
        add(session, 2)
        send(session, begin)
        add(session, 3)
        send(session, back)
        session.expunge_all()
        add(session, 4)
    assert ids(capture) == ["2", "4"]


@pytest.mark.parametrize("release", ["RELEASE a", "RELEASE SAVEPOINT a", "release savepoint a", 'RELEASE "a"'])
def test_a_savepoint_that_is_released_by_hand_keeps_its_rows_for_the_outer_one(capture: Capture, release: str) -> None:
    with capture.sessions.begin() as session:
        add(session, 2)
        savepoint(session, "SAVEPOINT o")
        savepoint(session, "SAVEPOINT a")
        add(session, 3)
        savepoint(session, release)
        savepoint(session, "ROLLBACK TO o")
        session.expunge_all()
        savepoint(session, "SAVEPOINT a")
        add(session, 4)
        savepoint(session, release)
    assert ids(capture) == ["2", "4"]


def test_what_is_in_doubt_inside_a_savepoint_that_is_rolled_back_is_not_told(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        nested = session.begin_nested()
        session.execute(text("UPDATE page SET title = 'b'"))
        nested.rollback()
    assert capture.silent()
    with capture.sessions.begin() as session, session.begin_nested():
        session.execute(text("UPDATE page SET title = 'b'"))
    assert capture.told() == [[f"invalidate {PATTERN}"]]


def test_what_was_in_doubt_before_the_savepoint_is_told(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.execute(text("UPDATE page SET title = 'b'"))
        nested = session.begin_nested()
        session.execute(text("UPDATE page SET title = 'c'"))
        nested.rollback()
    assert capture.told() == [[f"invalidate {PATTERN}"]]


def test_a_savepoint_keeps_what_is_known_of_new_rows(capture: Capture, engine: Engine) -> None:
    with capture.sessions.begin() as session:
        add(session, 2)
        savepoint(session, "SAVEPOINT a")
        add(session, 3)
        savepoint(session, "RELEASE a")
        with reads(engine, "page") as sent:
            session.commit()
    assert sent == []
    assert ids(capture) == ["2", "3"]


def test_a_connection_without_published_changes_is_left_alone(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        connection: Any = session.connection()
        before = connection.dispatch, connection._has_events
        session.scalars(select(Page)).all()
        session.add(Account(id=1, balance=1))
        session.flush()
        session.execute(update(Account).values(balance=2))
        session.execute(text("UPDATE account SET balance = 3"))
        with session.begin_nested():
            session.execute(text("SELECT 1"))
        assert (connection.dispatch, connection._has_events) == before
        add(session, 2)
        assert connection.dispatch is not before[0]
        assert connection._has_events


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["engine", "connection"])
def test_listeners_of_users_hear_everything(engine: Engine, when: str, what: str) -> None:
    heard: list[str] = []
    target: Engine | Connection = engine if what == "engine" else engine.connect()
    capture = Capture(engine) if when == "after" else None

    def statement(connection: object, cursor: object, sent: str, *rest: object) -> None:
        heard.append(sent.split()[0])

    def listen() -> None:
        event.listen(target, "before_cursor_execute", statement)
        event.listen(target, "commit", lambda connection: heard.append("COMMIT"))
        event.listen(target, "savepoint", lambda connection, name: heard.append("SAVEPOINT"))

    if when == "before":
        listen()
    capture = capture or Capture(engine)
    with capture.sessions(bind=target, join_transaction_mode="control_fully") as session:
        session.add(Project(id=5))
        add(session, 2)
        if when == "after":
            listen()  # in the middle, when its Connection is heard by us
        with session.begin_nested():
            add(session, 3)
        session.execute(update(Page).where(Page.id == 2).values(title="b"))
        add(session, 4)
        session.commit()
    if isinstance(target, Connection):
        target.close()
    # What is heard beside the SAVEPOINT's event is its statement, and what we ask the database ourselves.
    assert ids(capture) == ["2", "3", "4"]
    assert [each for each in heard if each in ("INSERT", "UPDATE", "COMMIT")] == [
        *(["INSERT", "INSERT"] if when == "before" else []), "INSERT", "UPDATE", "INSERT", "COMMIT",
    ]  # fmt: skip
    assert "SAVEPOINT" in heard


def test_rows_that_come_between_the_look_and_the_statement_are_doubted(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    capture = Capture(engine)
    with capture.sessions.begin() as session:
        session.add_all([Project(id=5), Page(id=1, project_id=5, title="a")])
    capture.commits()
    looked = False

    def between(connection: object, cursor: object, statement: str, *rest: object) -> None:
        nonlocal looked
        if not looked and "FOR NO KEY UPDATE" in statement:
            looked = True
            with Session(engine) as other, other.begin():
                other.add(Page(id=50, project_id=5, title="late"))

    event.listen(engine, "after_cursor_execute", between)
    with capture.sessions.begin() as session:
        session.execute(update(Page).values(title="c"))
    event.remove(engine, "after_cursor_execute", between)
    assert looked
    assert capture.told() == [
        ['update projects/5/pages Page 1 +title {"id":1,"project_id":5,"title":"c","size":7}', f"invalidate {PATTERN}"]
    ]
    with capture.sessions.begin() as session:
        session.execute(update(Page).values(title="d"))
    assert sorted(ids(capture)) == ["1", "50"], "the next one is told in full"


def test_an_engine_that_a_session_turns_to_later_is_heard(capture: Capture, engine: Engine) -> None:
    wire = capture.hooks._wire
    assert list(wire._engines) == [engine]
    other = engine.execution_options(isolation_level="SERIALIZABLE")
    with capture.sessions(bind=other) as session:
        add(session, 2)
        session.execute(text("UPDATE page SET title = 'b'"))
        session.commit()
    assert set(wire._engines) == {engine, other}
    assert capture.told() == [
        ['create projects/5/pages Page 2 {"id":2,"project_id":5,"title":"b","size":7}', f"invalidate {PATTERN}"]
    ]
