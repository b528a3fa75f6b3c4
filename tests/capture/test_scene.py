"""A scene covers a row only in the same place: no mix-up between Sessions, savepoints and models that take turns."""

from __future__ import annotations

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from tests.support.capture import Capture
from tests.support.models import Page, Project


def test_two_sessions_that_flush_within_each_other_keep_their_rows(sqlite: Engine) -> None:
    capture = Capture(sqlite)
    with capture.sessions.begin() as session:
        session.add(Project(id=5))

    with capture.sessions() as outer, capture.sessions() as inner:
        inner.add(Page(id=9, project_id=5))

        def meanwhile(mapper: object, connection: object, target: Page) -> None:
            if target.id == 1:
                # The other one sends nothing: SQLite has one writer. Its flush has begun all the same.
                capture.hooks._flushes.start(inner)

        event.listen(Page, "after_insert", meanwhile)
        try:
            outer.add_all([Page(id=1, project_id=5), Page(id=2, project_id=5)])
            outer.commit()
        finally:
            event.remove(Page, "after_insert", meanwhile)
        inner.rollback()
    assert [change.id for commit in capture.commits() for change in commit.changes] == ["1", "2"]


def test_a_savepoint_that_is_set_within_a_flush_has_its_own_rows(engine: Engine) -> None:
    capture = Capture(engine)
    with capture.sessions.begin() as session:
        session.add(Project(id=5))

    def undone(mapper: object, connection: object, target: Page) -> None:
        if target.id == 1:
            nested = connection.begin_nested()  # type: ignore[attr-defined]
            with Session(bind=connection, join_transaction_mode="rollback_only"):  # type: ignore[call-overload]
                nested.rollback()

    event.listen(Page, "after_insert", undone)
    try:
        with capture.sessions.begin() as session:
            session.add_all([Page(id=1, project_id=5), Page(id=2, project_id=5)])
    finally:
        event.remove(Page, "after_insert", undone)
    assert [change.id for commit in capture.commits() for change in commit.changes] == ["1", "2"]


def test_nothing_of_a_session_is_kept_after_its_flush(engine: Engine) -> None:
    capture = Capture(engine)
    with capture.sessions() as session:
        session.add_all([Project(id=5), Page(id=1, project_id=5)])
        session.flush()
        assert capture.hooks._flushes._scene is None
        session.add(Page(id=1, project_id=5))
        try:
            session.flush()
        except Exception:
            session.rollback()
        assert capture.hooks._flushes._scene is None
