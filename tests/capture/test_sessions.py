"""Which Sessions work on which Connections: several on one, and those that are no more."""

from __future__ import annotations

import gc

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from sqla_realtime.capture.sessions import Sessions
from tests.support.capture import CHANNEL, Capture
from tests.support.models import Project


def test_a_session_is_known_until_it_leaves(sqlite: Engine) -> None:
    left: list[Connection] = []
    sessions, session = Sessions(left.append), Session(sqlite)
    assert sessions.get(session) is None
    state = sessions.enter(session)
    with sqlite.connect() as connection:
        sessions.use(state, connection)
        sessions.use(state, connection)
        assert (sessions.get(session), sessions.users(connection), list(sessions)) == (state, (state,), [session])
        sessions.leave(session)
        sessions.leave(session)
        assert (sessions.get(session), sessions.users(connection), left) == (None, (), [connection])


def test_two_on_one_connection(sqlite: Engine) -> None:
    sessions, one, two = Sessions(lambda connection: None), Session(sqlite), Session(sqlite)
    first, second = sessions.enter(one), sessions.enter(two)
    with sqlite.connect() as connection:
        sessions.use(first, connection)
        sessions.use(second, connection)
        assert sessions.users(connection) == (first, second)
        sessions.leave(two)
        assert sessions.users(connection) == (first,)


def test_a_session_that_is_no_more_leaves_nothing(sqlite: Engine) -> None:
    sessions, session = Sessions(lambda connection: None), Session(sqlite)
    with sqlite.connect() as connection:
        sessions.use(sessions.enter(session), connection)
        del session
        gc.collect()
        assert not list(sessions)
        assert sessions.users(connection) == ()


def test_the_end_of_one_does_not_silence_the_other(engine: Engine) -> None:
    """Both are enabled and share a Connection: raw SQL of the one that goes on is noticed."""
    capture = Capture(engine)
    with capture.sessions.begin() as session:
        session.add(Project(id=5))
    with engine.connect() as connection, connection.begin() as outer:
        first, second = capture.sessions(bind=connection), capture.sessions(bind=connection)
        first.scalar(text("SELECT 1"))
        second.scalar(text("SELECT 1"))
        second.close()
        first.execute(text("UPDATE page SET title = 'raw'"))
        first.commit()
        outer.commit()
    assert capture.told() == [[f"invalidate {CHANNEL}"]]
