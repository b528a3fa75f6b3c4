"""What every Broker promises, as a suite that each tier inherits: order, lateness, failure, doubt, following, and its end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Change, Commit, Entry, Position
from sqla_realtime.errors import PositionGone

PATIENCE = 5.0


def commit(number: int, channel: str = "c") -> Commit:
    """One recognisable commit."""
    return Commit((Change(channel, "create", "Row", str(number), b'{"id":%d}' % number),))


async def take(entries: AsyncGenerator[Entry], count: int) -> list[Entry]:
    """The next so many entries; fails when they do not come."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(entries) for _ in range(count)]


async def read(broker: Broker, after: Position, count: int) -> list[Commit]:
    """So many commits after a position."""
    async with aclosing(broker.follow(after)) as entries:
        return [entry.commit for entry in await take(entries, count)]


async def gone(broker: Broker, after: Position) -> bool:
    """Whether the log does not reach back to a position."""
    async with aclosing(broker.follow(after)) as entries:
        try:
            async with asyncio.timeout(PATIENCE):
                await anext(entries)
        except PositionGone as error:
            return error.facts == {"position": after}
    return False


class BrokerContract(ABC):
    """Inherit as ``class TestX(BrokerContract)`` and say how a broker is made."""

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

    def test_positions_are_consecutive_in_one_epoch(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            for number in range(3):
                broker.begin(commit(number)).finish(committed=True)
            async with aclosing(broker.follow(start)) as entries:
                found = [entry.position for entry in await take(entries, 3)]
            assert found == [(start.epoch, start.offset + step) for step in (1, 2, 3)]
            assert await broker.head() == found[-1]

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

    def test_following_goes_on_from_any_position(self) -> None:
        async def scene() -> None:
            broker = self.make()
            epoch, offset = await broker.head()
            for number in range(1, 5):
                broker.begin(commit(number)).finish(committed=True)
            for seen in range(4):
                wanted = [commit(number) for number in range(seen + 1, 5)]
                assert await read(broker, Position(epoch, offset + seen), len(wanted)) == wanted

        asyncio.run(scene())

    def test_a_follower_at_the_head_gets_what_comes(self) -> None:
        async def scene() -> None:
            broker = self.make()
            async with aclosing(broker.follow(await broker.head())) as entries:
                for number in range(3):
                    reading = asyncio.ensure_future(anext(entries))
                    await asyncio.sleep(0)
                    broker.begin(commit(number)).finish(committed=True)
                    async with asyncio.timeout(PATIENCE):
                        assert (await reading).commit == commit(number)

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

    def test_two_logs_are_two_epochs(self) -> None:
        async def scene() -> None:
            assert (await self.make().head()).epoch != (await self.make().head()).epoch

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

    def test_two_followers_see_the_same(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()

            async def follow() -> list[Entry]:
                async with aclosing(broker.follow(start)) as entries:
                    return await take(entries, 20)

            async def write() -> None:
                for number in range(0, 20, 2):
                    one, two = broker.begin(commit(number)), broker.begin(commit(number + 1))
                    two.finish(committed=True)
                    await asyncio.sleep(0)
                    one.finish(committed=True)

            first, second, _ = await asyncio.gather(follow(), follow(), write())
            assert first == second
            assert [entry.commit for entry in first] == [commit(number) for number in range(20)]

        asyncio.run(scene())

    def test_a_follower_that_stops_does_not_stop_others(self) -> None:
        async def scene() -> None:
            broker = self.make()
            start = await broker.head()
            async with aclosing(broker.follow(start)) as stays:
                async with aclosing(broker.follow(start)) as leaves:
                    broker.begin(commit(1)).finish(committed=True)
                    await take(leaves, 1)
                broker.begin(commit(2)).finish(committed=True)
                assert [entry.commit for entry in await take(stays, 2)] == [commit(1), commit(2)]

        asyncio.run(scene())
