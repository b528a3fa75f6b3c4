"""What a log promises whose commits stand in line from when their COMMIT begins: order, lateness, failure, doubt."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import aclosing

import pytest

from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Commit, Position
from sqla_realtime.errors import PositionGone
from tests.brokers.contract import PATIENCE, commit, gone, read, take


class LineContract(ABC):
    """Inherit as ``class TestX(LineContract)`` and say how a broker is made."""

    @abstractmethod
    def make(self, count: int = 1000) -> Broker:
        """A new log that keeps ``count`` commits."""

    def test_the_log_has_the_order_in_which_commits_began(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            tickets = [broker.begin(commit(number)) for number in range(5)]
            for ticket in (tickets[3], tickets[0], tickets[4], tickets[2], tickets[1]):
                ticket.finish(committed=True)
            assert await read(broker, start, 5) == [commit(number) for number in range(5)]

        asyncio.run(scene())

    def test_a_ticket_knows_its_position_once_it_is_in_the_log(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            first, failed, last, doubtful = (broker.begin(commit(number)) for number in range(4))
            last.finish(committed=True)
            failed.finish(committed=False)
            assert [ticket.position for ticket in (first, failed, last)] == [None] * 3
            assert [ticket.open for ticket in (first, failed, last)] == [True, False, True]
            assert not broker.settle([failed, last], 0)
            assert broker.settle([failed], 0)
            doubtful.doubt()
            first.finish(committed=True)
            assert broker.settle([first, failed, last, doubtful], PATIENCE)
            async with aclosing(broker.follow(start)) as entries:
                positions = [entry.position for entry in await take(entries, 3)]
            assert [ticket.position for ticket in (first, last, doubtful)] == positions
            assert failed.position is None
            assert not any(ticket.open for ticket in (first, failed, last, doubtful))

        asyncio.run(scene())

    def test_nothing_is_read_before_what_began_earlier_has_ended(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            early, late = broker.begin(commit(1)), broker.begin(commit(2))
            late.finish(committed=True)
            async with aclosing(broker.follow(start)) as entries:
                reading = asyncio.ensure_future(anext(entries))
                for _ in range(10):
                    await asyncio.sleep(0)
                assert not reading.done(), "a commit overtook one that began earlier"
                early.finish(committed=True)
                assert (await reading).commit == commit(1)
                assert [entry.commit for entry in await take(entries, 1)] == [commit(2)]

        asyncio.run(scene())

    def test_a_failure_frees_the_line_and_leaves_nothing(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            failing, good = broker.begin(commit(1)), broker.begin(commit(2))
            good.finish(committed=True)
            failing.finish(committed=False)
            assert await read(broker, start, 1) == [commit(2)]
            assert (await broker.head()).offset == start.offset + 1

        asyncio.run(scene())

    def test_doubt_tells_the_channels_and_no_row(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            broker.begin(commit(1, "secret/1")).doubt()
            broker.begin(commit(2)).finish(committed=True)
            assert await read(broker, start, 2) == [Commit((), frozenset({"secret/1"})), commit(2)]

        asyncio.run(scene())

    @pytest.mark.parametrize("first", ["committed", "failed", "doubt"])
    @pytest.mark.parametrize("later", ["committed", "failed", "doubt"])
    @pytest.mark.parametrize("held_back", [False, True])
    def test_only_the_first_end_of_a_commit_counts(self, first: str, later: str, held_back: bool) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            earlier = broker.begin(commit(0))
            ticket = broker.begin(commit(1))
            if not held_back:
                earlier.finish(committed=True)
            for how in (first, later):
                if how == "doubt":
                    ticket.doubt()
                else:
                    ticket.finish(committed=how == "committed")
            earlier.finish(committed=True)
            broker.begin(commit(2)).finish(committed=True)
            wanted = {"committed": [commit(1)], "failed": [], "doubt": [commit(1).in_doubt()]}[first]
            wanted = [commit(0), *wanted, commit(2)]
            assert await read(broker, start, len(wanted)) == wanted

        asyncio.run(scene())

    def test_another_epoch_the_future_and_what_was_forgotten_are_gone(self) -> None:
        async def scene() -> None:
            broker = self.make(count=3)
            epoch, offset = await broker.head()
            for number in range(1, 6):
                broker.begin(commit(number)).finish(committed=True)
            assert await gone(broker, Position("other", offset + 3))
            assert await gone(broker, Position(epoch, offset + 6))
            assert await gone(broker, Position(epoch, offset + 1))
            assert await read(broker, Position(epoch, offset + 2), 3) == [commit(3), commit(4), commit(5)]

        asyncio.run(scene())

    def test_a_follower_that_fell_behind_is_told_and_skips_nothing(self) -> None:
        async def scene() -> None:
            broker = self.make(count=3)
            async with aclosing(broker.follow(await broker.head())) as entries:
                broker.begin(commit(1)).finish(committed=True)
                assert [entry.commit for entry in await take(entries, 1)] == [commit(1)]
                for number in range(2, 9):
                    broker.begin(commit(number)).finish(committed=True)
                with pytest.raises(PositionGone):
                    await take(entries, 1)

        asyncio.run(scene())

    def test_the_head_waits_for_commits_that_have_begun_and_for_no_later_ones(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            begun = [broker.begin(commit(1)), broker.begin(commit(2))]
            head = asyncio.ensure_future(broker.head())
            await asyncio.sleep(0)
            broker.begin(commit(3))
            begun[1].finish(committed=True)
            for _ in range(10):
                await asyncio.sleep(0)
            assert not head.done(), "the head did not wait for a COMMIT that may be visible already"
            begun[0].finish(committed=True)
            async with asyncio.timeout(PATIENCE):
                assert await head == (start.epoch, start.offset + 2)

        asyncio.run(scene())
