"""Sessions are known by what they work on: two on one Connection, one that ends, one that is forgotten in the middle."""

from __future__ import annotations

import gc
from weakref import ref

import pytest
from sqlalchemy import Connection, Engine, text, update
from sqlalchemy.orm import Session

from sqla_realtime.capture.sessions import Sessions
from tests.support.capture import Capture
from tests.support.models import Page, Project


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine, join_transaction_mode="rollback_only")
    with made.sessions.begin() as session:
        session.add_all([Project(id=5), Page(id=1, project_id=5, title="a")])
    made.commits()
    return made


def empty(capture: Capture) -> bool:
    """Whether nothing is known of any Session or Connection."""
    sessions = capture.hooks._sessions
    return not (sessions._states or sessions._users or capture.hooks._ledgers._ledgers)


@pytest.mark.parametrize("end", ["commit", "close"])
def test_the_other_session_of_a_connection_is_followed_when_one_has_ended(capture: Capture, engine: Engine, end: str) -> None:
    with engine.connect() as connection, connection.begin():
        one = capture.sessions(bind=connection, join_transaction_mode="rollback_only")
        two = capture.sessions(bind=connection, join_transaction_mode="rollback_only")
        one.get_one(Page, 1)
        two.get_one(Page, 1)
        getattr(one, end)()
        two.execute(text("UPDATE page SET title = 'b'"))
        two.commit()
        one.close()
        two.close()
    assert capture.told() == [["invalidate projects/{project_id}/pages"]]


def test_a_session_that_has_ended_is_followed_no_more(capture: Capture, engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        with capture.sessions(bind=connection) as session:
            session.get_one(Page, 1)
            session.commit()
        connection.execute(update(Page).values(title="b"))
    assert capture.silent()
    assert empty(capture)


def test_a_session_that_is_forgotten_in_the_middle_leaves_nothing(capture: Capture, engine: Engine) -> None:
    with engine.connect() as connection:
        outer = connection.begin()
        session = capture.sessions(bind=connection)
        session.add(Page(id=2, project_id=5, title="x"))
        session.flush()
        assert not empty(capture)
        gone = ref(session)
        del session
        gc.collect()
        assert gone() is None
        assert not capture.hooks._sessions._states
        assert not capture.hooks._sessions._users
        outer.rollback()
    del outer, connection
    gc.collect()
    assert empty(capture)
    assert capture.silent()


def test_each_way_to_end_leaves_nothing(capture: Capture) -> None:
    for end in ("commit", "rollback", "close"):
        with capture.sessions() as session:
            session.add(Page(id=2, project_id=5))
            session.flush()
            session.delete(session.get_one(Page, 2))
            getattr(session, end)()
            assert empty(capture), end


def test_users_come_and_go(sqlite: Engine) -> None:
    left: list[Connection] = []
    sessions = Sessions(left.append)
    one, two = Session(sqlite), Session(sqlite)
    with sqlite.connect() as connection:
        assert (sessions.get(one), list(sessions), list(sessions.users(connection))) == (None, [], [])
        first, second = sessions.enter(one), sessions.enter(two)
        for state in (first, second, first):
            sessions.use(state, connection)
        assert list(sessions.users(connection)) == [first, second]
        assert list(sessions) == [one, two]
        sessions.leave(one)
        sessions.leave(one)
        assert (sessions.get(one), list(sessions.users(connection)), left) == (None, [second], [connection])
        del two
        gc.collect()
        assert (list(sessions), list(sessions.users(connection)), left) == ([], [], [connection, connection])
