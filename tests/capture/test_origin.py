"""Who writes and where it got to: across threads and tasks, nested, in flight, rolled back, and never for longer than asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Position, Realtime, anyone
from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.capture.origin import Author, enter, is_origin, leave, origin_of, writing
from sqla_realtime.capture.taps import Taps
from sqla_realtime.commit import Change, Commit
from tests.support.models import Account, Page, PageOut, Project

ME = "c-0123456789abcdef"
ONE = Commit((Change("pages", "destroy", "Page", "1"),))


class Office:
    """A log, and whoever writes to it."""

    def __init__(self) -> None:
        self.log = MemoryBroker()
        self.taps = Taps(self.log, lambda pattern: True)

    def commit(self, committed: bool = True) -> None:
        self.taps.begin(ONE).finish(committed)

    @property
    def origins(self) -> list[str | None]:
        return [entry.commit.origin for entry in self.log.held()]

    def at(self, offset: int) -> Position:
        return Position(self.log.held()[0].position.epoch, offset)


@pytest.fixture
def office() -> Office:
    return Office()


# Who.


@pytest.mark.parametrize(
    ("connection", "session", "origin"),
    [
        ("12.34", None, "12.34"), ("12.", None, None), (None, "12.34", "12.34"), ("1.2\n", None, None),
        (ME, None, ME), (ME, "older", ME), (None, "older", "older"), (None, None, None), ("nonsense!", "older", "older"),
        ("c-short", None, None), ("c-" + "x" * 64, None, "c-" + "x" * 64), ("c-" + "x" * 65, None, None),
        ("x" * 20, None, None),
        (None, "x" * 64, "x" * 64), (None, "x" * 65, None), (None, ME, ME), (None, "", None), (None, "a b", None),
        (None, "é", None), (ME + "\n", None, None), (None, 'a"', None), (None, "c-" + "x" * 64, "c-" + "x" * 64),
    ],
)  # fmt: skip
def test_who_a_request_says_it_is_from(connection: str | None, session: str | None, origin: str | None) -> None:
    assert origin_of(connection, session) == origin
    assert origin is None or is_origin(origin)


def test_what_is_committed_in_the_block_is_its_authors(office: Office) -> None:
    office.commit()
    with writing(office.log, ME):
        office.commit()
        with writing(office.log, "other"):
            office.commit()
        with writing(office.log, None):
            office.commit()
        with writing(office.log, "not an id"):
            office.commit()
        office.commit()
    office.commit()
    assert office.origins == [None, ME, "other", None, None, ME, None]


def test_another_realtimes_commits_are_not_meant(office: Office) -> None:
    with writing(MemoryBroker(), ME) as author:
        office.commit()
    assert office.origins == [None]
    assert not author.wrote


def test_who_wrote_before_writes_again_whatever_happens_in_the_block(office: Office) -> None:
    with pytest.raises(ZeroDivisionError), writing(office.log, ME):
        raise ZeroDivisionError
    before = enter(Author(office.log, ME))
    leave(before)
    office.commit()
    assert office.origins == [None]


def test_each_task_has_its_own_and_gives_it_to_what_it_starts(office: Office) -> None:
    async def write(origin: str | None) -> Position | None:
        with writing(office.log, origin) as author:
            await asyncio.sleep(0)
            await asyncio.to_thread(office.commit)
            await asyncio.create_task(asyncio.to_thread(office.commit))
            return author.position()

    async def scene() -> list[Position | None]:
        return await asyncio.gather(write("one"), write("two"), write(None))

    positions = asyncio.run(scene())
    for origin, position in zip(["one", "two", None], positions, strict=True):
        mine = [entry.position for entry in office.log.held() if entry.commit.origin == origin]
        assert len(mine) == 2
        assert position == mine[-1]


def test_a_thread_of_its_own_is_somebody_else(office: Office) -> None:
    with writing(office.log, ME):
        thread = threading.Thread(target=office.commit)
        thread.start()
        thread.join()
    assert office.origins == [None]


def test_taps_hear_of_it_too(office: Office) -> None:
    tap = MemoryBroker()
    office.taps.add(tap, savepoints=True)
    with writing(office.log, ME) as author:
        office.commit()
        office.taps.hand_over(ONE)
    assert [entry.commit.origin for entry in tap.held()] == [ME, ME]
    assert author.position() == office.at(1)


# Where.


def test_the_position_is_that_of_the_last_commit(office: Office) -> None:
    with writing(office.log, ME) as author:
        assert (author.position(), author.wrote) == (None, False)
        office.commit()
        office.commit()
        assert (author.position(), author.wrote) == (office.at(2), True)
        office.commit(committed=False)
        assert author.position() == office.at(2)
    office.commit()
    assert author.position() == office.at(2)


def test_what_was_rolled_back_has_no_position(office: Office) -> None:
    with writing(office.log, ME) as author:
        office.commit(committed=False)
    assert (author.position(), author.wrote) == (None, False)


def test_a_block_around_others_has_their_commits_too(office: Office) -> None:
    with writing(office.log, ME) as outer:
        office.commit()
        with writing(office.log, "other") as inner:
            office.commit()
    assert outer.position() == inner.position() == office.at(2)


def test_the_position_waits_for_an_earlier_commit(office: Office) -> None:
    """It is where the commit is in the log, not where the log was when it ended."""
    earlier = office.taps.begin(ONE)
    with writing(office.log, ME) as author:
        office.commit()
    assert author.position(0) is None
    threading.Timer(0.05, earlier.finish, [True]).start()
    assert author.position(20) == office.at(2)
    assert office.origins == [None, ME]


def test_an_earlier_commit_that_fails_leaves_its_place(office: Office) -> None:
    earlier = office.taps.begin(ONE)
    with writing(office.log, ME) as author:
        office.commit()
    threading.Timer(0.05, earlier.finish, [False]).start()
    assert author.position(20) == office.at(1)


def test_the_wait_is_bounded(office: Office) -> None:
    office.taps.begin(ONE)
    with writing(office.log, ME) as author:
        office.commit()
    began = time.monotonic()
    assert author.position(0.05) is None
    assert time.monotonic() - began < 5
    assert author.wrote


def test_what_nobody_tells_is_asked_for(office: Office) -> None:
    with writing(office.log, ME) as author:
        office.taps.begin(ONE, lambda: True)
    assert author.position() == office.at(1)


def test_thousands_of_commits_are_not_kept(office: Office) -> None:
    with writing(office.log, ME) as author:
        for _ in range(1000):
            office.commit()
        assert len(author._open) <= 1
    assert author.position() == office.at(1000)


# With a database.


@pytest.fixture
def sessions(sqlite: Engine, realtime: Callable[..., Realtime]) -> tuple[Realtime, sessionmaker[Session]]:
    made = realtime()
    made.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
    factory = sessionmaker(sqlite)
    made.enable(factory)
    return made, factory


def test_a_session_commits_as_whoever_writes(sessions: tuple[Realtime, sessionmaker[Session]]) -> None:
    made, factory = sessions
    with made.origin(ME) as author:
        with factory.begin() as session:
            session.add_all([Project(id=1), Account(id=1, bank=1, balance=1)])
        assert (author.position(), author.wrote) == (None, False), "nothing of this is published"
        with factory() as session:
            session.add(Page(project_id=1, title="no"))
            session.flush()
            session.rollback()
        assert not author.wrote
        with factory() as session:
            for title in ("one", "two"):
                session.add(Page(project_id=1, title=title))
                session.commit()
        with made.suppress(), factory.begin() as session:
            session.add(Page(project_id=1, title="quiet"))
        position = author.position()
    held = made._broker.held()
    assert [entry.commit.origin for entry in held] == [ME, ME]
    assert position == held[-1].position
    with made.origin("no id at all"), factory.begin() as session:
        session.add(Page(project_id=1, title="three"))
    assert made._broker.held()[-1].commit.origin is None
