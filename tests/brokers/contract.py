"""What every Broker promises, as a suite that each tier inherits: what is committed is followed, whole, once, in one order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractContextManager, aclosing
from typing import Protocol

import pytest

from sqla_realtime.brokers.base import Broker, Ticket
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


class Writer(Protocol):
    """A transaction whose COMMIT is about to be sent."""

    ticket: Ticket

    def commit(self) -> None:
        """It commits."""

    def rollback(self) -> None:
        """It does not."""


class Log(Protocol):
    """A log with one broker of its own."""

    broker: Broker

    def write(self, commit: Commit) -> Writer:
        """Begin a COMMIT."""


class BrokerContract(ABC):
    """Inherit as ``class TestX(BrokerContract)`` and say how a log is made."""

    @abstractmethod
    def new(self) -> AbstractContextManager[Log]:
        """A new, empty log."""

    @pytest.fixture
    def log(self) -> Iterator[Log]:
        with self.new() as log:
            yield log

    def test_what_is_committed_is_followed_from_any_position(self, log: Log) -> None:
        async def scene() -> None:
            epoch, offset = await log.broker.head()
            for number in range(1, 5):
                log.write(commit(number)).commit()
            for seen in range(4):
                wanted = [commit(number) for number in range(seen + 1, 5)]
                assert await read(log.broker, Position(epoch, offset + seen), len(wanted)) == wanted

        asyncio.run(scene())

    def test_positions_are_consecutive_in_one_epoch(self, log: Log) -> None:
        async def scene() -> None:
            start = await log.broker.head()
            for number in range(3):
                log.write(commit(number)).commit()
            async with aclosing(log.broker.follow(start)) as entries:
                found = [entry.position for entry in await take(entries, 3)]
            assert found == [(start.epoch, start.offset + step) for step in (1, 2, 3)]
            assert await log.broker.head() == found[-1]

        asyncio.run(scene())

    def test_everything_of_a_commit_comes_back_as_it_was(self, log: Log) -> None:
        async def scene() -> None:
            start = await log.broker.head()
            told = Commit(
                (
                    Change("a", "create", "Row", "1", '{"text":"ü \\u2028 %s \\" 5"}'.encode(), ()),
                    Change("a", "update", "Row", "2", b"{}", ("x", "y"), None),
                    Change("b/ä", "destroy", "Row", "3", None, (), "leave"),
                    Change("b", "create", "Row", "3", b'{"n":1e400}', (), "enter"),
                ),
                frozenset({"c/{x}", "d"}),
                "c-1234",
            )
            log.write(told).commit()
            assert await read(log.broker, start, 1) == [told]

        asyncio.run(scene())

    def test_what_is_rolled_back_is_never_followed(self, log: Log) -> None:
        async def scene() -> None:
            start = await log.broker.head()
            log.write(commit(1)).rollback()
            log.write(commit(2)).commit()
            assert await read(log.broker, start, 1) == [commit(2)]
            assert (await log.broker.head()).offset == start.offset + 1

        asyncio.run(scene())

    def test_a_follower_at_the_head_gets_what_comes(self, log: Log) -> None:
        async def scene() -> None:
            async with aclosing(log.broker.follow(await log.broker.head())) as entries:
                for number in range(3):
                    reading = asyncio.ensure_future(anext(entries))
                    await asyncio.sleep(0)
                    log.write(commit(number)).commit()
                    async with asyncio.timeout(PATIENCE):
                        assert (await reading).commit == commit(number)

        asyncio.run(scene())

    def test_what_is_nobodys_transaction_enters_too(self, log: Log) -> None:
        async def scene() -> None:
            start = await log.broker.head()
            log.broker.enter(Commit((), frozenset({"c"})))
            assert await read(log.broker, start, 1) == [Commit((), frozenset({"c"}))]

        asyncio.run(scene())

    def test_a_settled_ticket_knows_where_its_commit_is_or_later(self, log: Log) -> None:
        async def scene() -> None:
            async with aclosing(log.broker.follow(await log.broker.head())) as entries:
                writer = log.write(commit(1))
                assert (writer.ticket.open, writer.ticket.position) == (True, None)
                writer.commit()
                assert await asyncio.to_thread(log.broker.settle, [writer.ticket], PATIENCE)
                [entry] = await take(entries, 1)
            assert not writer.ticket.open
            assert writer.ticket.position is not None
            assert writer.ticket.position >= entry.position
            failed = log.write(commit(2))
            failed.rollback()
            assert (failed.ticket.open, failed.ticket.position) == (False, None)

        asyncio.run(scene())

    def test_the_head_is_at_or_after_what_is_committed(self, log: Log) -> None:
        async def scene() -> None:
            start = await log.broker.head()
            for number in range(1, 20):
                log.write(commit(number)).commit()
                assert (await log.broker.head()).offset >= start.offset + number

        asyncio.run(scene())

    def test_another_epoch_and_the_future_are_gone(self, log: Log) -> None:
        async def scene() -> None:
            epoch, offset = await log.broker.head()
            for number in range(3):
                log.write(commit(number)).commit()
            assert await gone(log.broker, Position("other", offset + 1))
            assert await gone(log.broker, Position(epoch, offset + 4))

        asyncio.run(scene())

    def test_two_logs_are_two_epochs(self, log: Log) -> None:
        async def scene() -> None:
            with self.new() as other:
                assert (await log.broker.head()).epoch != (await other.broker.head()).epoch

        asyncio.run(scene())

    def test_a_new_reader_begins_where_the_log_can_be_followed_from(self, log: Log) -> None:
        async def scene() -> None:
            log.write(commit(1)).commit()
            start = await log.broker.start()
            head = await log.broker.head()
            log.write(commit(2)).commit()
            found = await read(log.broker, start, head.offset - start.offset + 1)
            assert found == [commit(1), commit(2)][-len(found) :]

        asyncio.run(scene())

    def test_two_followers_see_the_same_and_one_that_stops_disturbs_nobody(self, log: Log) -> None:
        async def scene() -> None:
            start = await log.broker.head()
            async with aclosing(log.broker.follow(start)) as stays:
                async with aclosing(log.broker.follow(start)) as leaves:
                    for number in range(20):
                        log.write(commit(number)).commit()
                    first, second = await take(stays, 20), await take(leaves, 20)
                log.write(commit(20)).commit()
                assert [entry.commit for entry in await take(stays, 1)] == [commit(20)]
            assert first == second
            assert [entry.commit for entry in first] == [commit(number) for number in range(20)]

        asyncio.run(scene())

    def test_after_it_was_closed_it_opens_again(self, log: Log) -> None:
        async def scene() -> None:
            start = await log.broker.head()
            log.broker.close()
            log.write(commit(1)).commit()
            assert await read(log.broker, start, 1) == [commit(1)]

        asyncio.run(scene())
