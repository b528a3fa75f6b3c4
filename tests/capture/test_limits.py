"""What survives a tree of savepoints, and what is left of a transaction that is too large to remember."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from sqla_realtime.capture.tracker import Touch, Tracker
from tests.support.capture import CHANNEL, Capture
from tests.support.models import Page, Project


def rows(tracker: Tracker) -> set[object]:
    return set(tracker.net())


def test_past_the_limit_only_subjects_are_remembered() -> None:
    tracker = Tracker(limit=3)
    for key in range(3):
        tracker.record(key, Touch("create", "page"))
    assert (rows(tracker), tracker.doubts()) == ({0, 1, 2}, set())
    tracker.record(2, Touch("update", "page"))
    assert rows(tracker) == {0, 1, 2}, "a row that is known takes no room"
    tracker.record(3, Touch("create", "other"))
    assert (rows(tracker), tracker.doubts()) == (set(), {"page", "other"})
    tracker.record(4, Touch("create", "third"))
    assert (rows(tracker), tracker.doubts()) == (set(), {"page", "other", "third"})


def test_the_limit_counts_all_savepoints() -> None:
    tracker = Tracker(limit=3)
    tracker.record(0, Touch("create", "page"))
    tracker.savepoint("a")
    tracker.record(1, Touch("create", "page"))
    tracker.savepoint("b")
    tracker.record(2, Touch("create", "page"))
    tracker.rollback("b")
    tracker.record(3, Touch("create", "page"))
    tracker.release("a")
    assert (rows(tracker), tracker.doubts()) == ({0, 1, 3}, set())
    tracker.record(4, Touch("create", "page"))
    assert (rows(tracker), tracker.doubts()) == (set(), {"page"})


@pytest.mark.parametrize("end", ["release", "rollback"])
def test_doubt_belongs_to_its_savepoint(end: str) -> None:
    tracker = Tracker(limit=1)
    tracker.savepoint("a")
    for key in range(3):
        tracker.record(key, Touch("create", "page"))
    getattr(tracker, end)("a")
    assert tracker.doubts() == ({"page"} if end == "release" else set())


def test_a_mark_gives_the_doubts_that_came_since_the_last_one() -> None:
    tracker = Tracker(limit=1)
    tracker.record(0, Touch("create", "page"))
    assert rows(tracker.mark()) == {0}
    tracker.record(1, Touch("create", "other"))
    assert tracker.mark().doubts() == {"other"}
    assert not tracker.mark()
    assert tracker
    assert tracker.doubts() == {"page", "other"}


def test_a_savepoint_that_is_older_than_the_tracker_takes_everything() -> None:
    tracker = Tracker(limit=1)
    for key in range(3):
        tracker.record(key, Touch("create", "page"))
    tracker.rollback("unknown")
    tracker.record(9, Touch("create", "page"))
    assert (rows(tracker), tracker.doubts()) == ({9}, set())


def test_a_transaction_past_its_limit_is_told_as_channels_that_changed(engine: Engine) -> None:
    capture = Capture(engine, transaction_rows=10)
    with capture.sessions.begin() as session:
        session.add(Project(id=5))
        session.add_all([Page(id=number, project_id=5) for number in range(10)])
    assert len(capture.told()[0]) == 10
    with capture.sessions.begin() as session:
        session.add_all([Page(id=number, project_id=5) for number in range(100, 111)])
    assert capture.told() == [[f"invalidate {CHANNEL}"]]
