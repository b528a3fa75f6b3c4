"""What Connections send: savepoints however they are spelled, and nothing asked of Connections that have nothing to tell."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from tests.support.capture import CHANNEL, Capture
from tests.support.models import Page, Project


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add(Project(id=5))
        session.add(Page(id=1, project_id=5, title="a"))
    made.commits()
    return made


def ids(capture: Capture) -> list[str]:
    return [change.id for commit in capture.commits() for change in commit.changes]


@pytest.mark.parametrize(
    ("point", "back", "release"),
    [
        ("SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "RELEASE SAVEPOINT a"),
        ("savepoint a", "  rollback transaction to a", "release a"),
        ('SAVEPOINT "a"', 'ROLLBACK TO "a"', 'RELEASE "a"'),
    ],
)
@pytest.mark.parametrize("way", [text, str])
def test_savepoints_spelled_by_hand(capture: Capture, point: str, back: str, release: str, way: Any) -> None:
    with capture.sessions.begin() as session:

        def send(statement: str) -> None:
            if way is text:
                session.execute(text(statement))
            else:
                session.connection().exec_driver_sql(statement)

        session.add(Page(id=2, project_id=5))
        session.flush()
        send(point)
        session.add(Page(id=3, project_id=5))
        session.flush()
        send(back)
        session.expire_all()
        session.add(Page(id=4, project_id=5))
        session.flush()
        send(release)
    assert ids(capture) == ["2", "4"]


def test_what_is_in_doubt_is_forgotten_with_its_savepoint(capture: Capture) -> None:
    with capture.sessions.begin() as session, session.begin_nested() as savepoint:
        session.execute(text("UPDATE page SET title = 'raw'"))
        savepoint.rollback()
    assert capture.silent()
    with capture.sessions.begin() as session, session.begin_nested():
        session.execute(text("UPDATE page SET title = 'raw'"))
    assert capture.told() == [[f"invalidate {CHANNEL}"]]


def test_a_connection_with_nothing_to_tell_has_no_listener(capture: Capture) -> None:
    with capture.sessions() as session:
        connection = session.connection()
        before = connection.dispatch
        session.add(Project(id=6))
        session.get_one(Page, 1)
        session.flush()
        assert connection.dispatch is before
        session.add(Page(id=2, project_id=5))
        session.flush()
        assert connection.dispatch is not before
        session.commit()
    assert ids(capture) == ["2"]


@pytest.mark.parametrize("when", ["engine, before", "engine, after", "connection, before", "connection, after"])
def test_listeners_of_others_hear_what_they_did(capture: Capture, when: str) -> None:
    target, moment = when.split(", ")
    heard: list[str] = []

    def listen(connection: Connection) -> None:
        on = connection if target == "connection" else connection.engine
        event.listen(on, "commit", lambda _: heard.append("commit"))
        event.listen(on, "before_cursor_execute", lambda *arguments: heard.append(arguments[2].split()[0]))

    with capture.sessions() as session:
        if moment == "before":
            listen(session.connection())
        session.add(Page(id=2, project_id=5))
        session.flush()
        if moment == "after":
            listen(session.connection())
        heard.clear()
        session.get_one(Page, 1, populate_existing=True)
        session.commit()
    assert heard[:2] == ["SELECT", "commit"]
    assert ids(capture) == ["2"]
