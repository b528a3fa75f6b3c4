"""Boundaries: what reaches the log, and when, for every way in which a Session's transaction can begin and end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, event, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_realtime.capture.targets import resolve
from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture
from tests.support.models import Page, Project


class ProjectOut(BaseModel):
    """Its key."""

    id: int


@pytest.fixture
def capture(engine: Engine) -> Iterator[Capture]:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add_all([Project(id=5), Project(id=6), Page(id=1, project_id=5, title="first")])
    made.commits()
    return made


def test_a_create_carries_the_stored_row_with_what_the_server_filled_in(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Page(id=2, project_id=5, title="x"))
    assert capture.told() == [['create projects/5/pages Page 2 {"id":2,"project_id":5,"title":"x","size":7}']]


def test_an_update_names_the_fields_that_differ(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "y"
    assert capture.told() == [['update projects/5/pages Page 1 +title {"id":1,"project_id":5,"title":"y","size":7}']]


def test_an_update_of_a_column_that_no_schema_shows_is_not_told(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).notes = "secret"
    assert capture.silent()


def test_a_destroy_carries_the_key_alone(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Page, 1))
    assert capture.told() == [["destroy projects/5/pages Page 1"]]


def test_an_expression_is_read_after_the_database_has_computed_it(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).size = Page.size + 1
    assert capture.told() == [['update projects/5/pages Page 1 +size {"id":1,"project_id":5,"title":"first","size":8}']]


def test_flushes_of_one_transaction_collapse(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(new := Page(id=2, project_id=5, title="a"))
        session.flush()
        new.title = "b"
        session.flush()
        session.add(gone := Page(id=3, project_id=5))
        session.flush()
        session.delete(gone)
        session.get_one(Page, 1).title = "c"
    assert [each.split(" {")[0] for each in capture.told()[0]] == [
        "create projects/5/pages Page 2",
        "update projects/5/pages Page 1 +title",
    ]


def test_what_an_object_remembers_does_not_keep_a_change_from_being_told(capture: Capture) -> None:
    """There and back again, for the object; the row was somewhere else when it set out."""
    stale = capture.sessions(expire_on_commit=False)
    page = stale.get_one(Page, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "other"
    capture.commits()
    page.title = "on the way"
    stale.flush()
    page.title = "first"
    stale.commit()
    assert capture.told() == [['update projects/5/pages Page 1 +title {"id":1,"project_id":5,"title":"first","size":7}']]


def test_a_row_deleted_and_made_again_is_an_update(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Page, 1))
        session.flush()
        session.add(Page(id=1, project_id=5, title="again"))
    assert capture.told() == [['update projects/5/pages Page 1 +title,size {"id":1,"project_id":5,"title":"again","size":7}']]


def test_a_row_switch_within_one_flush_is_an_update(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Page, 1))
        session.add(Page(id=1, project_id=6, title="again"))
    assert capture.told() == [
        [
            "destroy projects/5/pages Page 1 (leave)",
            'create projects/6/pages Page 1 (enter) {"id":1,"project_id":6,"title":"again","size":7}',
        ]
    ]


def test_a_row_that_moves_leaves_one_channel_and_enters_the_other(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).project_id = 6
    assert capture.told() == [
        [
            "destroy projects/5/pages Page 1 (leave)",
            'create projects/6/pages Page 1 (enter) {"id":1,"project_id":6,"title":"first","size":7}',
        ]
    ]


def test_a_row_that_moves_there_and_back_has_not_moved(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        page = session.get_one(Page, 1)
        page.project_id = 6
        session.flush()
        page.project_id = 5
    assert capture.silent()


def test_a_row_without_a_channel_is_told_to_nobody(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Page(id=2, project_id=None, title="private"))
        session.get_one(Page, 1).project_id = None
    assert capture.told() == [["destroy projects/5/pages Page 1 (leave)"]]


def test_a_move_by_a_stale_object_leaves_the_channel_that_the_row_was_really_in(capture: Capture) -> None:
    stale = capture.sessions(expire_on_commit=False)
    page = stale.get_one(Page, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).project_id = 6
    capture.commits()
    page.project_id = None
    stale.commit()
    assert capture.told() == [["destroy projects/6/pages Page 1 (leave)"]]


def test_a_delete_of_a_stale_object_is_told_where_the_row_really_was(capture: Capture) -> None:
    stale = capture.sessions(expire_on_commit=False)
    page = stale.get_one(Page, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).project_id = 6
    capture.commits()
    stale.delete(page)
    stale.commit()
    assert capture.told() == [["destroy projects/6/pages Page 1"]]


def test_an_update_of_a_stale_object_tells_the_row_as_it_is_stored(capture: Capture) -> None:
    stale = capture.sessions(expire_on_commit=False)
    page = stale.get_one(Page, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).project_id = 6
    capture.commits()
    page.title = "stale"
    stale.commit()
    assert capture.told() == [['update projects/6/pages Page 1 +title {"id":1,"project_id":6,"title":"stale","size":7}']]


def test_a_primary_key_that_changes_is_a_destroy_and_a_create(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).id = 9
    assert capture.told() == [
        ["destroy projects/5/pages Page 1", 'create projects/5/pages Page 9 {"id":9,"project_id":5,"title":"first","size":7}']
    ]


def test_orphans_and_cascades_of_the_orm_are_told(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        project = session.get_one(Project, 5)
        project.pages.append(Page(id=2, title="child"))
    assert capture.told() == [['create projects/5/pages Page 2 {"id":2,"project_id":5,"title":"child","size":7}']]
    with capture.sessions.begin() as session:
        project = session.get_one(Project, 5)
        project.pages.remove(next(page for page in project.pages if page.id == 2))
    assert capture.told() == [["destroy projects/5/pages Page 2"]]
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).project = session.get_one(Project, 6)
    assert [each.split(" {")[0] for each in capture.told()[0]] == [
        "destroy projects/5/pages Page 1 (leave)",
        "create projects/6/pages Page 1 (enter)",
    ]
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Project, 6))
    assert capture.told() == [["destroy projects/6/pages Page 1"]]


def add(session: Session, number: int) -> None:
    session.add(Page(id=number, project_id=5))
    session.flush()


def ids(capture: Capture) -> list[list[str]]:
    return [[change.id for change in commit.changes] for commit in capture.commits()]


@pytest.mark.parametrize("end", ["rollback", "close", "reset", "invalidate", "raise"])
def test_what_is_not_committed_is_never_told_and_leaves_nothing_for_the_next_transaction(capture: Capture, end: str) -> None:
    session = capture.sessions()
    add(session, 2)
    if end == "raise":
        with pytest.raises(ZeroDivisionError), session, session.begin_nested():
            raise ZeroDivisionError
    else:
        getattr(session, end)()
    assert capture.silent()
    add(session, 3)
    session.commit()
    assert ids(capture) == [["3"]]
    session.close()


def test_savepoints_are_told_with_the_transaction_or_not_at_all(capture: Capture) -> None:
    session = capture.sessions()
    with session.begin_nested():
        add(session, 2)
    assert capture.silent()
    kept = session.begin_nested()
    add(session, 3)
    lost = session.begin_nested()
    add(session, 4)
    lost.rollback()
    kept.commit()
    undone = session.begin_nested()
    with session.begin_nested():
        add(session, 5)
    undone.rollback()
    add(session, 6)
    assert capture.silent()
    session.commit()
    assert ids(capture) == [["2", "3", "6"]]
    session.close()


def test_a_savepoint_that_was_set_before_the_first_change_takes_everything_with_it(capture: Capture) -> None:
    session = capture.sessions()
    session.execute(text("SELECT 1"))
    outer = session.begin_nested()
    inner = session.begin_nested()
    add(session, 2)
    inner.commit()
    outer.rollback()
    add(session, 3)
    session.commit()
    assert ids(capture) == [["3"]]
    session.close()


# SQLAlchemy itself warns that this is not how it is done; the database does it all the same.
@pytest.mark.filterwarnings("ignore:nested transaction already deassociated")
def test_rolling_back_an_outer_savepoint_over_an_open_inner_one(capture: Capture) -> None:
    with capture.engine.connect() as connection, connection.begin() as transaction:
        session = capture.sessions(bind=connection, join_transaction_mode="rollback_only")
        add(session, 2)
        outer = connection.begin_nested()
        add(session, 3)
        connection.begin_nested()
        add(session, 4)
        outer.rollback()
        add(session, 5)
        session.commit()
        assert capture.silent()
        transaction.commit()
    assert ids(capture) == [["2", "5"]]


@pytest.mark.parametrize("mode", ["conditional_savepoint", "rollback_only", "control_fully", "create_savepoint"])
@pytest.mark.parametrize("outer", ["commit", "rollback"])
def test_a_joined_session_is_told_when_the_outer_transaction_commits(capture: Capture, mode: Any, outer: str) -> None:
    with capture.engine.connect() as connection:
        transaction = connection.begin()
        with capture.sessions(bind=connection, join_transaction_mode=mode) as session:
            add(session, 2)
            session.commit()
        if mode == "control_fully":
            assert ids(capture) == [["2"]]
            return
        assert capture.silent()
        getattr(transaction, outer)()
    assert ids(capture) == ([["2"]] if outer == "commit" else [])


def test_a_failed_flush_tells_nothing(capture: Capture) -> None:
    session = capture.sessions()
    add(session, 2)
    session.add(Page(id=1, project_id=5))
    with pytest.raises(IntegrityError):
        session.flush()
    session.rollback()
    session.close()
    assert capture.silent()


@pytest.mark.parametrize("afterwards", ["rollback", "close"])
def test_a_failed_commit_tells_nothing(capture: Capture, afterwards: str) -> None:
    with capture.engine.begin() as connection:
        connection.execute(text("CREATE TABLE strict (page INTEGER REFERENCES page (id) DEFERRABLE INITIALLY DEFERRED)"))
    session = capture.sessions()
    add(session, 2)
    session.execute(text("INSERT INTO strict VALUES (999)"))
    with pytest.raises(IntegrityError):
        session.commit()
    getattr(session, afterwards)()
    session.close()
    assert capture.silent()


def test_a_listener_that_raises_after_the_commit_hides_nothing(capture: Capture) -> None:
    @event.listens_for(capture.sessions, "after_commit")
    def explode(session: Session) -> None:
        raise ZeroDivisionError

    session = capture.sessions()
    add(session, 2)
    with pytest.raises(ZeroDivisionError):
        session.commit()
    session.close()
    assert ids(capture) == [["2"]]


def test_a_listener_that_raises_before_ours_leaves_doubt_and_no_row(engine: Engine) -> None:
    sessions = sessionmaker(engine)

    @event.listens_for(sessions, "after_commit")
    def explode(session: Session) -> None:
        raise ZeroDivisionError

    capture = Capture(engine, target=sessions)
    session = sessions()
    session.add(Project(id=5, pages=[Page(id=2)]))
    with pytest.raises(ZeroDivisionError):
        session.commit()
    session.close()
    assert capture.told() == [["invalidate projects/5/pages"]]


def test_changes_that_other_listeners_make_while_committing_are_told(capture: Capture) -> None:
    @event.listens_for(capture.sessions, "before_commit")
    def more(session: Session) -> None:
        if session.new:
            session.flush()
            session.add(Page(id=7, project_id=5))

    session = capture.sessions()
    session.add(Page(id=2, project_id=5))
    session.commit()
    session.close()
    assert ids(capture) == [["2", "7"]]


def test_a_session_that_commits_in_its_own_after_commit_is_told_twice(capture: Capture) -> None:
    @event.listens_for(capture.sessions, "after_commit", once=True)
    def again(session: Session) -> None:
        with capture.sessions.begin() as other:
            other.add(Page(id=3, project_id=5))

    with capture.sessions.begin() as session:
        session.add(Page(id=2, project_id=5))
    assert sorted(ids(capture)) == [["2"], ["3"]]


def test_enable_twice_and_disable(engine: Engine) -> None:
    capture = Capture(engine)
    capture.hooks.enable(resolve(capture.sessions))
    capture.hooks.enable(resolve(scoped_session(capture.sessions)))
    with capture.sessions.begin() as session:
        session.add(Project(id=5, pages=[Page(id=2)]))
    assert ids(capture) == [["2"]]
    capture.hooks.disable(resolve(capture.sessions))
    with capture.sessions.begin() as session:
        add(session, 3)
    assert capture.silent()


def test_sessions_that_were_not_enabled_are_none_of_our_business(capture: Capture) -> None:
    with Session(capture.engine) as session:
        add(session, 2)
        session.commit()
    assert capture.silent()


def test_without_readers_nothing_is_read_and_the_pattern_is_marked(capture: Capture) -> None:
    statements: list[str] = []
    event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    capture.wanted = lambda pattern: False
    with capture.sessions.begin() as session:
        page = session.get_one(Page, 1)
        statements.clear()
        page.project_id = 6
        session.add(Page(id=2, project_id=5))
    assert [each.split()[0] for each in statements] == ["UPDATE", "INSERT"] or [each.split()[0] for each in statements] == [
        "INSERT",
        "UPDATE",
    ]
    assert capture.told() == [["invalidate projects/{project_id}/pages"]]


def test_rows_are_read_once_for_a_class_in_one_statement(capture: Capture) -> None:
    statements: list[str] = []
    event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with capture.sessions.begin() as session:
        session.add_all(pages := [Page(id=number, project_id=5, title=f"page {number}") for number in range(10, 110)])
    assert not any(each.startswith("SELECT page") for each in statements), "plain values of new rows need not be read"
    with capture.sessions.begin() as session:
        for page in pages:
            session.add(page)
            session.refresh(page)
            page.title += "!"
        session.flush()
        statements.clear()
    assert sum(each.startswith("SELECT") for each in statements) == 1
    assert [len(commit.changes) for commit in capture.commits()] == [100, 100]


def test_a_row_that_can_not_be_read_does_not_break_the_commit(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    """On PostgreSQL a failed statement would silently turn COMMIT into ROLLBACK."""

    def spoil(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> Any:
        return ("SELECT nonsense FROM nowhere", ()) if statement.startswith("SELECT page.id") else (statement, parameters)

    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "other"
        event.listen(capture.engine, "before_cursor_execute", spoil, retval=True)
    assert capture.told() == [["invalidate projects/{project_id}/pages"]]
    assert "[read-failed]" in caplog.text
    event.remove(capture.engine, "before_cursor_execute", spoil)
    with capture.sessions() as session:
        assert session.get_one(Page, 1).title == "other"


def test_two_threads_that_commit_one_row_are_told_in_the_order_of_their_commits(capture: Capture) -> None:
    """The first writer is held between its COMMIT and the hook that tells of it; the second overtakes it there."""
    committed, overtaken = threading.Event(), threading.Event()
    _hold_the_first_after_commit(capture, committed, overtaken)

    def write(title: str) -> None:
        with capture.sessions.begin() as session:
            session.get_one(Page, 1).title = title

    first = threading.Thread(target=write, args=("first writer",))
    first.start()
    assert committed.wait(10)
    write("second writer")
    overtaken.set()
    first.join()
    titles = [each[0].split('"title":"')[1].split('"')[0] for each in capture.told()]
    assert titles == ["first writer", "second writer"]


def _hold_the_first_after_commit(capture: Capture, committed: threading.Event, overtaken: threading.Event) -> None:
    settle = capture.broker._settle
    first = True

    def late(place: Any, commit: Any) -> None:
        nonlocal first
        if first:
            first = False
            committed.set()
            assert overtaken.wait(10)
        settle(place, commit)

    capture.broker._settle = late  # type: ignore[method-assign]


def test_the_order_of_arrival_is_the_wrong_order(capture: Capture) -> None:
    """The mutant of the test above: a log that takes commits as their hooks come ends with the older row."""
    committed, overtaken = threading.Event(), threading.Event()
    arrived: list[Any] = []
    capture.broker._settle = lambda place, commit: arrived.append(commit)  # type: ignore[method-assign]
    _hold_the_first_after_commit(capture, committed, overtaken)

    def write(title: str) -> None:
        with capture.sessions.begin() as session:
            session.get_one(Page, 1).title = title

    first = threading.Thread(target=write, args=("first writer",))
    first.start()
    assert committed.wait(10)
    write("second writer")
    overtaken.set()
    first.join()
    assert [b"second" in commit.changes[0].record for commit in arrived] == [True, False]


@pytest.mark.parametrize("bulk", [False, True])
def test_our_looks_take_no_stronger_locks_than_the_users_statements(engine: Engine, bulk: bool) -> None:
    """A row that somebody's new row refers to can be updated meanwhile; so it can with us."""
    if engine.dialect.name == "sqlite":
        return  # one writer at a time
    capture = Capture(engine, Publication(Project, ProjectOut, "projects/{name}"))
    with capture.sessions.begin() as session:
        session.add(Project(id=5, name="a"))
    capture.commits()
    with engine.connect() as other, other.begin():
        other.execute(text("INSERT INTO page (id, project_id, title) VALUES (1, 5, 'new')"))
        with capture.sessions.begin() as session:
            session.execute(text("SET lock_timeout = '5s'"))
            if bulk:
                session.execute(update(Project).values(name="b"))
            else:
                session.get_one(Project, 5).name = "b"
    assert capture.told() == [["destroy projects/a Project 5 (leave)", 'create projects/b Project 5 (enter) {"id":5}']]
