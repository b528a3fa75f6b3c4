"""The Recorder: what it records, what its assertions take and say, and tests that roll everything back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine

from sqla_realtime import Realtime
from sqla_realtime.commit import Commit
from sqla_realtime.errors import NotEnabled
from sqla_realtime.testing import Recorder
from tests.support.databases import postgres_engine
from tests.support.models import Account, Base, Page, PageOut, Project
from tests.support.outer import PAGES, Shop, after_transaction_end, create_savepoint
from tests.support.scene import live


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine)


@pytest.fixture
def small(sqlite: Engine) -> Shop:
    return Shop(sqlite)


RECIPES = pytest.mark.parametrize("recipe", [create_savepoint, after_transaction_end])


def told(recorder: Recorder) -> list[list[str]]:
    """What each commit told the channels of projects."""
    return [
        [f"{each.type} {each.id}" for each in commit.changes if each.channel.startswith("projects/")]
        for commit in recorder.commits
    ]


def test_commits_are_recorded_although_nobody_listens_and_nothing_runs(shop: Shop) -> None:
    with Recorder(shop.realtime) as recorder:
        with shop.sessions.begin() as session:
            session.get_one(Page, 1).title = "x"
            session.add(Page(id=2, project_id=6, title="new"))
        with shop.sessions() as session:
            session.add(Page(id=3, project_id=6))
            session.flush()
        assert [len(commit.changes) for commit in recorder.commits] == [4]
        change = recorder.assert_published(Page, type="update", id=1, channel=PAGES, record={"title": "x"}, changed=["title"])
        assert change.record == b'{"id":1,"project_id":5,"title":"x","size":7}'
        recorder.assert_published("Page", type="create", id="2")
        assert not shop.realtime.running


def test_clear_forgets_and_close_records_nothing_more(small: Shop) -> None:
    with Recorder(small.realtime) as recorder:
        with small.sessions.begin() as session:
            session.add(Page(id=2, project_id=5))
        recorder.clear()
        recorder.assert_nothing_published()
        with small.sessions.begin() as session:
            session.add(Page(id=3, project_id=5))
        assert told(recorder) == [["create 3"]]
    with small.sessions.begin() as session:
        session.add(Page(id=4, project_id=5))
    assert told(recorder) == [["create 3"]]


def test_two_recorders_do_not_disturb_each_other(small: Shop) -> None:
    with Recorder(small.realtime) as first, Recorder(small.realtime) as second:
        first.close()
        with small.sessions.begin() as session:
            session.add(Page(id=2, project_id=5))
        first.assert_nothing_published()
        assert told(second) == [["create 2"]]


def test_a_commit_that_no_session_owns_is_recorded(shop: Shop) -> None:
    with Recorder(shop.realtime) as recorder, shop.engine.connect() as connection, connection.begin():
        with shop.sessions(bind=connection) as session:
            session.add(Page(id=2, project_id=5))
            session.commit()
        recorder.assert_nothing_published()
        connection.get_transaction().commit()  # type: ignore[union-attr]
        assert told(recorder) == [["create 2"]]


def test_bulk_statements_are_recorded_and_doubt_counts_as_published(small: Shop) -> None:
    with Recorder(small.realtime) as recorder:
        with small.sessions.begin() as session:
            session.execute(update(Page).values(title="x"))
        recorder.assert_published(Page, type="update", changed={"title"})
        recorder.clear()
        with small.sessions.begin() as session:
            session.execute(text("UPDATE page SET title = 'y'"))
        assert recorder.commits == [Commit((), frozenset({"projects/{project_id}/pages", "members/{project_id}"}))]
        with pytest.raises(AssertionError, match=r"invalidate projects/\{project_id\}/pages"):
            recorder.assert_nothing_published()


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "create"},
        {"id": 2},
        {"id": (1, 2)},
        {"channel": "projects/6/pages"},
        {"record": {"title": "y"}},
        {"record": {"notes": None}},
        {"changed": []},
        {"changed": ["title", "size"]},
    ],
)
def test_a_failure_lists_what_was_published(small: Shop, wanted: dict[str, Any]) -> None:
    with Recorder(small.realtime) as recorder:
        with small.sessions.begin() as session:
            session.get_one(Page, 1).title = "x"
        with pytest.raises(AssertionError) as caught:
            recorder.assert_published(Page, **wanted)
    said = str(caught.value)
    assert next(iter(wanted)) in said.splitlines()[0]
    assert 'Commit 1:\n  update Page 1 in projects/5/pages changed title {"id":1,' in said


def test_a_model_is_named_by_its_class_or_by_any_of_its_names_on_the_wire(small: Shop) -> None:
    with Recorder(small.realtime) as recorder:
        with small.sessions.begin() as session:
            session.delete(session.get_one(Page, 1))
        assert recorder.assert_published("MemberPage").channel == "members/5"
        assert recorder.assert_published(Page, channel="members/5").cls == "MemberPage"
        assert recorder.assert_published().type == "destroy"
        for other in (Account, Project, "Pages"):
            with pytest.raises(AssertionError, match="destroy Page 1 in projects/5/pages"):
                recorder.assert_published(other)


def test_the_failure_of_a_test_that_forgot_to_commit_says_so(small: Shop) -> None:
    with Recorder(small.realtime) as recorder, small.sessions() as session:
        with pytest.raises(AssertionError, match=r"Nothing was published\. Is the Session one that enable") as caught:
            recorder.assert_published(Page)
        assert "not been committed" not in str(caught.value)
        session.add(Page(id=2, project_id=5))
        session.flush()
        with pytest.raises(AssertionError, match=r"not been committed\.\nIf your tests roll it back"):
            recorder.assert_published(Page)


def test_a_realtime_that_listens_to_no_session_cannot_pass_for_silent() -> None:
    realtime = Realtime(port=0)
    realtime.publish(Page, schema=PageOut, channel="pages")
    with Recorder(realtime) as recorder, pytest.raises(NotEnabled):
        recorder.assert_nothing_published()


# Tests in a transaction that is always rolled back.


@RECIPES
def test_without_savepoints_nothing_counts_in_an_outer_transaction(shop: Shop, recipe: Any) -> None:
    with Recorder(shop.realtime) as recorder, recipe(shop) as (_, session):
        session.add(Page(id=2, project_id=5))
        session.commit()
        recorder.assert_nothing_published()


@RECIPES
def test_with_savepoints_each_commit_inside_is_a_commit_of_its_own(shop: Shop, recipe: Any) -> None:
    with Recorder(shop.realtime, savepoints=True) as recorder, recipe(shop) as (_, session):
        session.add(Page(id=2, project_id=5, title="a"))
        session.flush()
        recorder.assert_nothing_published()
        session.commit()
        assert told(recorder) == [["create 2"]]
        session.get_one(Page, 2).title = "b"
        session.add(Page(id=3, project_id=5))
        session.commit()
        assert told(recorder)[1:] == [["update 2", "create 3"]]
        recorder.assert_published(Page, type="update", id=2, changed=["title"], record={"title": "b"})
        session.get_one(Page, 2).project_id = 6
        session.delete(session.get_one(Page, 3))
        session.commit()
        assert told(recorder)[2:] == [["destroy 2", "create 2", "destroy 3"]]
        session.commit()
        assert len(recorder.commits) == 3


@RECIPES
def test_what_is_rolled_back_inside_is_never_told(shop: Shop, recipe: Any) -> None:
    with Recorder(shop.realtime, savepoints=True) as recorder, recipe(shop) as (_, session):
        session.add(Page(id=2, project_id=5))
        session.flush()
        session.rollback()
        session.commit()
        recorder.assert_nothing_published()
        session.add(Page(id=3, project_id=5))
        with session.begin_nested() as savepoint:
            session.add(Page(id=4, project_id=5))
            session.flush()
            savepoint.rollback()
        with session.begin_nested():
            session.add(Page(id=5, project_id=5))
        recorder.assert_nothing_published()
        session.commit()
        assert told(recorder) == [["create 3", "create 5"]]


@RECIPES
def test_bulk_statements_count_too(shop: Shop, recipe: Any) -> None:
    with Recorder(shop.realtime, savepoints=True) as recorder, recipe(shop) as (_, session):
        session.execute(update(Page).values(title="bulk"))
        session.commit()
        recorder.assert_published(Page, type="update", id=1, record={"title": "bulk"})


@RECIPES
def test_a_rolled_back_test_leaves_nothing_for_the_next(shop: Shop, recipe: Any) -> None:
    for title in ("a", "b"):
        with recipe(shop) as (_, session), Recorder(shop.realtime, savepoints=True) as recorder:
            recorder.assert_nothing_published()
            assert session.get_one(Page, 1).title == "first"
            session.get_one(Page, 1).title = title
            session.commit()
            session.add(Page(id=2, project_id=5))
            session.flush()
            assert told(recorder) == [["update 1"]]
    with Recorder(shop.realtime) as recorder, shop.sessions.begin() as session:
        session.add(Page(id=3, project_id=5))
    assert told(recorder) == [["create 3"]]
    assert not shop.realtime._hooks.waiting


def test_several_sessions_of_one_connection(shop: Shop) -> None:
    with Recorder(shop.realtime, savepoints=True) as recorder, create_savepoint(shop) as (connection, session):
        session.add(Page(id=2, project_id=5))
        session.commit()
        with shop.sessions(bind=connection, join_transaction_mode="create_savepoint") as other:
            other.get_one(Page, 2).title = "other"
            other.commit()
        assert told(recorder) == [["create 2"], ["update 2"]]


@pytest.mark.parametrize("mode", ["conditional_savepoint", "rollback_only", "control_fully"])
def test_every_way_of_joining(shop: Shop, mode: Any) -> None:
    with Recorder(shop.realtime, savepoints=True) as recorder, shop.engine.connect() as connection:
        connection.begin()
        with shop.sessions(bind=connection, join_transaction_mode=mode) as session:
            session.add(Page(id=2, project_id=5))
            session.commit()
        assert told(recorder) == [["create 2"]]


def test_a_session_with_a_transaction_of_its_own_is_told_once(shop: Shop) -> None:
    with Recorder(shop.realtime, savepoints=True) as recorder:
        with shop.sessions.begin() as session, session.begin_nested():
            session.add(Page(id=2, project_id=5))
        assert told(recorder) == [["create 2"]]


def test_an_outer_transaction_that_commits_after_all_is_told_whole(shop: Shop) -> None:
    with Recorder(shop.realtime) as other, Recorder(shop.realtime, savepoints=True) as recorder:
        with shop.engine.connect() as connection, connection.begin():
            with shop.sessions(bind=connection) as session:
                session.add(Page(id=2, project_id=5))
                session.commit()
                session.get_one(Page, 2).title = "b"
                session.commit()
            assert told(recorder) == [["create 2"], ["update 2"]]
            other.assert_nothing_published()
        assert told(other) == [["create 2"]]
        assert told(recorder) == [["create 2"], ["update 2"], ["create 2"]]


@RECIPES
def test_what_was_committed_before_the_recorder_came_is_not_told_later(shop: Shop, recipe: Any) -> None:
    with recipe(shop) as (_, session):
        session.add(Page(id=2, project_id=5))
        session.commit()
        session.add(Page(id=3, project_id=5))
        session.flush()
        with Recorder(shop.realtime, savepoints=True) as recorder:
            session.get_one(Page, 2).title = "b"
            session.commit()
            # Nobody could receive what was flushed before, so only that there was something is known.
            assert told(recorder) == [["update 2"]]
            assert [bool(commit.invalidated) for commit in recorder.commits] == [True]


def test_the_handed_over_row_is_the_stored_one(shop: Shop) -> None:
    with Recorder(shop.realtime, savepoints=True) as recorder, create_savepoint(shop) as (_, session):
        session.get_one(Page, 1).title = func.upper("loud")  # type: ignore[assignment]
        session.commit()
        recorder.assert_published(Page, id=1, record={"title": "LOUD", "size": 7})


@live
async def test_under_asyncio() -> None:
    with postgres_engine() as engine:
        Base.metadata.create_all(engine)
        shop = Shop(engine)
        asynchronous = create_async_engine(engine.url)
        sessions = async_sessionmaker(asynchronous)
        shop.realtime.enable(sessions)
        async with asynchronous.connect() as connection:
            transaction = await connection.begin()
            with Recorder(shop.realtime, savepoints=True) as recorder:
                await _work(sessions, connection)
                assert told(recorder) == [["create 2"], ["update 2"]]
            await transaction.rollback()
        await asynchronous.dispose()


async def _work(sessions: async_sessionmaker[AsyncSession], connection: AsyncConnection) -> None:
    async with sessions(bind=connection, join_transaction_mode="create_savepoint") as session:
        session.add(Page(id=2, project_id=5))
        await session.commit()
        (await session.get_one(Page, 2)).title = "later"
        await session.commit()
        assert await session.scalar(select(func.count()).select_from(Page)) == 2
