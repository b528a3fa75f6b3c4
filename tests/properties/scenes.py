"""Scenes for what no random tree of one thread reaches: COMMITs that fail or overtake each other, rows that come between."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event, text, update
from sqlalchemy.exc import IntegrityError, SAWarning
from sqlalchemy.orm import Session

from sqla_realtime.commit import Change, Commit
from tests.support.capture import CHANNEL, Capture
from tests.support.models import Page, Project

Scene = Callable[[Engine], None]
SCENES: dict[str, Scene] = {}


def scene(name: str) -> Callable[[Scene], Scene]:
    """Register a scene; it raises AssertionError where the capture lies."""

    def register(function: Scene) -> Scene:
        SCENES[name] = function
        return function

    return register


def started(engine: Engine) -> Capture:
    capture = Capture(engine)
    with capture.sessions.begin() as session:
        session.add_all([Project(id=5), Page(id=1, project_id=5, title="a"), Page(id=2, project_id=5, title="b")])
    capture.commits()
    return capture


@scene("a COMMIT that fails")
def a_commit_that_fails(engine: Engine) -> None:
    """A constraint that PostgreSQL checks at COMMIT."""
    capture = started(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE page ADD UNIQUE (title, size) DEFERRABLE INITIALLY DEFERRED"))
    for end in (Session.rollback, Session.close):
        session = capture.sessions()
        session.add(Page(id=9, project_id=5, title="a", size=1))
        session.add(Page(id=10, project_id=5, title="a", size=1))
        try:
            session.commit()
        except IntegrityError:
            end(session)
        else:
            raise AssertionError("the COMMIT went well")
        session.close()
        assert capture.silent(), "a COMMIT that failed was told"


@scene("rows that come between")
def rows_that_come_between(engine: Engine) -> None:
    """Another transaction's row is selected by an UPDATE, and was not by the look before it."""
    capture = started(engine)
    looked = False

    def between(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
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
    assert f"invalidate {CHANNEL}" in capture.told()[-1], "a row that nobody saw was changed and not told"


@scene("two COMMITs that end in the other order")
def two_commits(engine: Engine) -> None:
    """The one that began first comes first in the log, whichever thread gets there first."""
    capture = started(engine)
    first, second = (Commit((Change("c", "destroy", "Page", number),)) for number in ("1", "2"))
    earlier, later = capture.broker.begin(first), capture.broker.begin(second)
    later.finish(committed=True)
    earlier.finish(committed=True)
    assert capture.commits() == [first, second], "the log has them in another order"


@scene("a Connection that is used again")
def a_connection_that_is_used_again(engine: Engine) -> None:
    """What was rolled back on it is not told by the next transaction."""
    capture = started(engine)
    with engine.connect() as connection:
        outer = connection.begin()
        with capture.sessions(bind=connection) as session:
            session.delete(session.get_one(Page, 1))
            session.commit()
        outer.rollback()
        with connection.begin(), capture.sessions(bind=connection) as session:
            session.add(Page(id=3, project_id=5, title="c"))
            session.commit()
    told = [line for lines in capture.told() for line in lines]
    assert told == ['create projects/5/pages Page 3 {"id":3,"project_id":5,"title":"c","size":7}'], f"{told} was told"


@scene("an object that is older than its row")
def an_object_older_than_its_row(engine: Engine) -> None:
    """There and back again, for the object; the row was somewhere else when it set out."""
    capture = started(engine)
    stale = capture.sessions(expire_on_commit=False)
    page = stale.get_one(Page, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "other"
    capture.commits()
    page.title = "on the way"
    stale.flush()
    page.title = "a"
    stale.commit()
    stale.close()
    assert len(capture.commits()) == 1, "a change was not told"


@scene("an object whose row is gone")
def an_object_whose_row_is_gone(engine: Engine) -> None:
    """Its DELETE finds nothing, and there is nothing to tell and nothing to doubt."""
    capture = started(engine)
    stale = capture.sessions(expire_on_commit=False)
    page = stale.get_one(Page, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Page, 1))
    capture.commits()
    stale.delete(page)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        stale.commit()
    stale.close()
    assert capture.silent(), "a DELETE that found nothing was told"
