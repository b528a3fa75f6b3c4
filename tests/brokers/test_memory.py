"""The memory log: the contract, and what is its own: patience, probes, threads and forks; and a fault that it must show."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import warnings
from collections import defaultdict
from contextlib import AbstractContextManager, aclosing, nullcontext

import pytest

from sqla_realtime.brokers.base import Outcome, Ticket
from sqla_realtime.brokers.memory import PROBE_INTERVAL, MemoryBroker
from sqla_realtime.commit import Commit, Position
from sqla_realtime.history import Bounds
from tests.brokers.contract import PATIENCE, BrokerContract, commit, gone, read, take
from tests.brokers.line import LineContract
from tests.support.virtual import run


class MemoryWriter:
    """A COMMIT that ends as it is told."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket

    def commit(self) -> None:
        self.ticket.finish(committed=True)

    def rollback(self) -> None:
        self.ticket.finish(committed=False)


class MemoryLog:
    """A log of this process."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    def write(self, commit: Commit) -> MemoryWriter:
        return MemoryWriter(self.broker.begin(commit))


class TestMemoryBroker(BrokerContract):
    """The tier keeps the contract."""

    def new(self) -> AbstractContextManager[MemoryLog]:
        return nullcontext(MemoryLog())


class TestMemoryLine(LineContract):
    """Its commits stand in line."""

    def make(self, count: int = 1000) -> MemoryBroker:
        return MemoryBroker(Bounds(count=count))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Unordered(MemoryBroker):
    """The planted fault: whoever ends first is first."""

    def _advance(self) -> None:
        for place in list(self._line):
            if place.state.name == "COMMITTED":
                self._line.remove(place)
                self._enter([place])


def test_the_contract_finds_a_log_in_the_order_of_ends() -> None:
    class Faulty(LineContract):
        def make(self, count: int = 1000) -> MemoryBroker:
            return Unordered(Bounds(count=count))

    with pytest.raises(AssertionError):
        Faulty().test_the_log_has_the_order_in_which_commits_began()


# Patience.


def patient() -> tuple[MemoryBroker, Clock]:
    clock = Clock()
    return MemoryBroker(Bounds(), patience=10.0, clock=clock), clock


def test_a_commit_that_tries_everybodys_patience_is_passed_and_told_in_doubt(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        broker, clock = patient()
        start = await broker.head()
        stuck = broker.begin(commit(1))
        clock.now = 5.0
        broker.begin(commit(2)).finish(committed=True)
        clock.now = 9.9
        waiting = asyncio.ensure_future(broker.head())
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.now = 10.0
        async with asyncio.timeout(PATIENCE):
            assert (await waiting).offset == start.offset + 1
        assert stuck.open
        stuck.finish(committed=True)
        assert (stuck.open, stuck.position) == (False, Position(start.epoch, start.offset + 2))
        assert await read(broker, start, 2) == [commit(2), commit(1).in_doubt()]

    asyncio.run(scene())
    assert "[commit-passed]" in caplog.text


@pytest.mark.parametrize("how", ["failed", "doubt"])
def test_a_passed_commit_that_fails_is_nothing_and_in_doubt_is_doubt(how: str) -> None:
    async def scene() -> None:
        broker, clock = patient()
        start = await broker.head()
        stuck = broker.begin(commit(1))
        clock.now = 10.0
        await broker.head()
        for _ in range(2):  # only the first call counts
            if how == "doubt":
                stuck.doubt()
            else:
                stuck.finish(committed=False)
        broker.begin(commit(2)).finish(committed=True)
        wanted = [commit(2)] if how == "failed" else [commit(1).in_doubt(), commit(2)]
        assert await read(broker, start, len(wanted)) == wanted

    asyncio.run(scene())


def test_only_those_whose_time_is_up_are_passed() -> None:
    async def scene() -> None:
        broker, clock = patient()
        start = await broker.head()
        broker.begin(commit(1))
        clock.now = 5.0
        second = broker.begin(commit(2))
        broker.begin(commit(3)).finish(committed=True)
        clock.now = 10.0
        waiting = asyncio.ensure_future(broker.head())
        await asyncio.sleep(1.0)
        assert not waiting.done(), "the second has 5 s left"
        second.finish(committed=True)
        assert (await waiting).offset == start.offset + 2
        assert await read(broker, start, 2) == [commit(2), commit(3)]

    run(scene())


def test_a_follower_alone_passes_a_stuck_commit_in_time() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        broker = MemoryBroker(patience=10.0, clock=loop.time)
        async with aclosing(broker.follow(await broker.head())) as entries:
            reading = asyncio.ensure_future(anext(entries))
            await asyncio.sleep(6.0)
            broker.begin(commit(1))
            broker.begin(commit(2)).finish(committed=True)
            assert (await reading).commit == commit(2)
            # Patience after its beginning, and not a whole round of looking later.
            assert loop.time() == pytest.approx(16.0)

    run(scene())


@pytest.mark.parametrize("turns", range(6))
def test_a_follower_that_is_cancelled_as_an_entry_comes_ends(turns: int) -> None:
    async def scene() -> None:
        broker = MemoryBroker()

        async def follow() -> None:
            async with aclosing(broker.follow(await broker.head())) as entries:
                async for _ in entries:
                    pass

        following = asyncio.ensure_future(follow())
        await asyncio.sleep(1.0)
        broker.begin(commit(1)).finish(committed=True)
        for _ in range(turns):
            await asyncio.sleep(0)
        following.cancel()
        done, _ = await asyncio.wait([following], timeout=1.0)
        assert done

    run(scene())


def test_what_the_log_holds_is_there_without_waiting() -> None:
    async def scene() -> None:
        broker = MemoryBroker(Bounds(count=2))
        assert broker.held() == []
        outcomes: list[Outcome] = [None]
        for number in (1, 2):
            broker.begin(commit(number)).finish(committed=True)
        broker.begin(commit(3), lambda: outcomes[-1])
        assert [entry.commit for entry in broker.held()] == [commit(1), commit(2)]
        outcomes.append(True)
        assert [entry.commit for entry in broker.held()] == [commit(2), commit(3)]

    run(scene())


def test_patience_and_bounds_can_be_changed() -> None:
    async def scene() -> None:
        broker, clock = patient()
        start = await broker.head()
        broker.begin(commit(1))
        broker.configure(Bounds(count=1), patience=2.0)
        clock.now = 2.0
        assert await broker.head() == start
        for number in (2, 3):
            broker.begin(commit(number)).finish(committed=True)
        assert await gone(broker, start)
        assert await read(broker, Position(start.epoch, start.offset + 1), 1) == [commit(3)]

    asyncio.run(scene())


# Probes.


class Probe:
    """Answers what it is told to; counts how often it was asked."""

    def __init__(self) -> None:
        self.outcome: Outcome = None
        self.asked = 0

    def __call__(self) -> Outcome:
        self.asked += 1
        return self.outcome


@pytest.mark.parametrize("outcome", [True, False])
def test_a_probe_settles_a_commit_that_no_event_tells_of(outcome: bool) -> None:
    async def scene() -> None:
        broker, probe = MemoryBroker(), Probe()
        start = await broker.head()
        async with aclosing(broker.follow(start)) as entries:
            reading = asyncio.ensure_future(anext(entries))
            await asyncio.sleep(0)
            broker.begin(commit(1), probe)
            broker.begin(commit(2)).finish(committed=True)
            await asyncio.sleep(PROBE_INTERVAL * 3)
            assert probe.asked >= 2
            assert not reading.done()
            probe.outcome = outcome
            async with asyncio.timeout(PATIENCE):
                assert (await reading).commit == commit(1 if outcome else 2)
        asked = probe.asked
        await broker.head()
        assert probe.asked == asked, "a settled place is asked again"

    run(scene())


def test_the_head_asks_probes_too() -> None:
    async def scene() -> None:
        broker, probe = MemoryBroker(), Probe()
        start = await broker.head()
        broker.begin(commit(1), probe)
        probe.outcome = True
        async with asyncio.timeout(PATIENCE):
            assert (await broker.head()).offset == start.offset + 1

    asyncio.run(scene())


def test_a_told_end_comes_before_the_probes() -> None:
    async def scene() -> None:
        broker, probe = MemoryBroker(), Probe()
        start = await broker.head()
        broker.begin(commit(1), probe).finish(committed=True)
        probe.outcome = False
        assert await read(broker, start, 1) == [commit(1)]

    asyncio.run(scene())


# Threads, loops and forks.


def test_threads_that_write_one_row_each_enter_in_their_own_order() -> None:
    """Each thread is a row whose COMMITs follow one another; between rows any order is right, within a row one alone."""
    writers, each = 8, 100
    broker = MemoryBroker()

    def write(writer: int, chance: random.Random) -> None:
        for number in range(each):
            ticket = broker.begin(commit(number, str(writer)))
            kind = chance.randrange(10)
            if kind == 0:
                ticket.finish(committed=False)
                broker.begin(commit(number, str(writer))).finish(committed=True)
            else:
                ticket.finish(committed=True)

    async def scene() -> None:
        start = await broker.head()
        threads = [threading.Thread(target=write, args=(writer, random.Random(writer))) for writer in range(writers)]
        for thread in threads:
            thread.start()
        commits = await read(broker, start, writers * each)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        rows: dict[str, list[int]] = defaultdict(list)
        for change in (change for each_commit in commits for change in each_commit.changes):
            rows[change.channel].append(int(change.id))
        assert rows == {str(writer): list(range(each)) for writer in range(writers)}
        assert (await broker.head()).offset == start.offset + writers * each

    asyncio.run(scene())


def test_a_commit_wakes_followers_of_other_loops() -> None:
    broker = MemoryBroker()
    ready, found = threading.Barrier(3), list[Commit]()

    async def follow() -> None:
        async with aclosing(broker.follow(await broker.head())) as entries:
            reading = asyncio.ensure_future(anext(entries))
            await asyncio.sleep(0)
            ready.wait(PATIENCE)
            async with asyncio.timeout(PATIENCE):
                found.append((await reading).commit)

    threads = [threading.Thread(target=lambda: asyncio.run(follow())) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    broker.begin(commit(1)).finish(committed=True)
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [commit(1), commit(1)]


def test_followers_leave_nothing_behind() -> None:
    async def scene() -> None:
        broker = MemoryBroker()
        async with aclosing(broker.follow(await broker.head())) as entries:
            broker.begin(commit(1)).finish(committed=True)
            await take(entries, 1)
            assert broker._ring.followed
        assert not broker._ring.followed
        assert not broker._line

    asyncio.run(scene())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_is_another_log() -> None:
    """Otherwise two workers would give one position to different commits, and a client would resume past some of them."""
    broker = MemoryBroker()
    broker.begin(commit(1)).finish(committed=True)
    broker.begin(commit(2))
    before = asyncio.run(MemoryBroker.head(MemoryBroker())), broker._ring.head
    with broker._lock, warnings.catch_warnings():  # another thread may hold the lock at that moment
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            verdict = 1
            try:
                head = asyncio.run(asyncio.wait_for(broker.head(), PATIENCE))
                broker.begin(commit(3)).finish(committed=True)
                entered = asyncio.run(read(broker, head, 1)) == [commit(3)]
                verdict = 0 if head.epoch != before[1].epoch and entered else 2
            finally:
                os._exit(verdict)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert broker._ring.head == before[1], "the parent's log goes on"
