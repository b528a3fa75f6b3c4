"""Changes that are not to be told: suppress() by thread and by task, Sessions that opt out, and transactions in part."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
import sqlalchemy
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime
from sqla_realtime.capture.silence import is_silent, silence
from tests.support.capture import Capture
from tests.support.models import Page, Project

VERSION = tuple(int(part) for part in sqlalchemy.__version__.split(".")[:2])


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add(Project(id=5, pages=[Page(id=1, title="a")]))
    made.commits()
    return made


def write_in_every_way(session: Session) -> None:
    session.add(Page(id=2, project_id=5))
    session.get_one(Page, 1).title = "b"
    session.flush()
    session.execute(update(Page).values(title="c"))
    session.execute(text("UPDATE page SET title = 'd'"))
    session.delete(session.get_one(Page, 2))
    session.flush()


def test_nothing_is_told_of_what_is_done_in_the_block(capture: Capture) -> None:
    with silence(capture.hooks), capture.sessions.begin() as session:
        write_in_every_way(session)
    assert capture.silent()
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).size = 8
    assert capture.told() == [['update projects/5/pages Page 1 +size {"id":1,"project_id":5,"title":"d","size":8}']]


def test_what_counts_is_when_a_change_is_sent(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        with silence(capture.hooks):
            session.add(Page(id=2, project_id=5))
            session.flush()
            session.add(Page(id=3, project_id=5))
        session.add(Page(id=4, project_id=5))
    assert [change.id for change in capture.commits()[0].changes] == ["3", "4"]


def test_a_row_changed_on_both_sides_is_told_as_it_is_stored(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        page = session.get_one(Page, 1)
        page.title = "told"
        session.flush()
        with silence(capture.hooks):
            page.size = 9
            session.flush()
    assert capture.told() == [['update projects/5/pages Page 1 +title {"id":1,"project_id":5,"title":"told","size":9}']]


def test_savepoints_are_followed_in_silence_too(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Page(id=2, project_id=5))
        session.flush()
        with silence(capture.hooks):
            nested = session.begin_nested()
        session.add(Page(id=3, project_id=5))
        session.flush()
        with silence(capture.hooks):
            nested.rollback()
    assert [change.id for change in capture.commits()[0].changes] == ["2"]


def test_a_session_that_says_so_is_silent(capture: Capture) -> None:
    with capture.sessions(info={"realtime": False}) as session:
        write_in_every_way(session)
        session.commit()
        assert capture.silent()
        del session.info["realtime"]
        session.add(Page(id=3, project_id=5))
        session.commit()
    assert [change.id for change in capture.commits()[0].changes] == ["3"]


@pytest.mark.skipif(VERSION < (2, 1), reason="Sessions have execution options since SQLAlchemy 2.1")
def test_a_session_whose_options_say_so_is_silent(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.add(Page(id=8, project_id=5))
    assert len(capture.commits()) == 1
    with capture.sessions(execution_options={"realtime": False}) as session:
        write_in_every_way(session)
        session.commit()
    assert capture.silent()


def test_other_threads_and_other_realtimes_are_not_silenced(capture: Capture) -> None:
    def write() -> None:
        with capture.sessions.begin() as session:
            session.add(Page(id=2, project_id=5))

    with silence(capture.hooks):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    with silence(object()), capture.sessions.begin() as session:
        session.add(Page(id=3, project_id=5))
    assert [change.id for commit in capture.commits() for change in commit.changes] == ["2", "3"]


def test_blocks_nest_and_end_with_an_exception(capture: Capture) -> None:
    with capture.sessions() as session:
        with silence(capture.hooks):
            with pytest.raises(ZeroDivisionError), silence(capture.hooks):
                raise ZeroDivisionError
            assert is_silent(capture.hooks, session)
        assert not is_silent(capture.hooks, session)


def test_a_task_is_silent_by_itself() -> None:
    owner, session, heard = object(), Session(), {}

    async def quiet(inside: asyncio.Event, done: asyncio.Event) -> None:
        with silence(owner):
            inside.set()
            await done.wait()
            heard["child"] = await asyncio.create_task(ask())
            heard["quiet"] = is_silent(owner, session)

    async def ask() -> bool:
        return is_silent(owner, session)

    async def main() -> None:
        inside, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(quiet(inside, done))
        await inside.wait()
        heard["other"] = await ask()
        done.set()
        await task

    asyncio.run(main())
    assert heard == {"other": False, "child": True, "quiet": True}


def test_the_methods_name_is_suppress(sqlite: Engine, realtime: Callable[..., Realtime]) -> None:
    app, sessions = realtime(), sessionmaker(sqlite)
    app.enable(sessions)
    with sessions() as session:
        with app.suppress():
            assert is_silent(app._hooks, session)
        assert not is_silent(app._hooks, session)
