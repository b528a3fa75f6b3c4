"""Flies snapshots: reads the rows, takes the log's head afterwards, waits for the hub to get there, and lands."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqla_realtime.brokers.base import Follower
from sqla_realtime.commit import Commit, Position
from sqla_realtime.errors import PositionGone, RealtimeError
from sqla_realtime.hub.doors import Archive, Ending, Refused
from sqla_realtime.hub.feed import Feed
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.pace import Clock
from sqla_realtime.hub.warm import Warm
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Row

log = logging.getLogger(__name__)

# Rows that are at hand come faster than a client takes them: how often it is looked whether it has taken the last ones.
LOOK = 0.02
# When a check that has failed is tried again, in seconds.
AGAIN = 5.0
# How often rows are read again because a change that can't be told row by row came in between.
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Reads:
    """What snapshots may cost: ``at_once`` reads at once, ``line`` more that wait, and in a rush rows that were read serve
    for ``share`` seconds whoever comes next, as long as they are no more than ``rows``."""

    at_once: int = 4
    line: int = 10_000
    share: float = 0.0
    rows: int = 10_000
    clock: Clock = time.monotonic


class Snapshots:
    """One task for each channel's snapshot under way. Loop thread only."""

    def __init__(self, hub: Hub, feed: Feed, broker: Follower, archive: Archive, reads: Reads = Reads()) -> None:
        self._hub = hub
        self._feed = feed
        self._broker = broker
        self._archive = archive
        self._reads = reads
        self._warm = Warm(reads.share, lambda position: hub.history.after(position), reads.clock)
        self._reading = 0
        self._line: dict[Flight, asyncio.Future[bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # The channels whose rows were handed out and are still to be checked.
        self._unchecked: set[str] = set()

    def start(self, flight: Flight) -> None:
        """Fly. The hub answers the waiters when it has landed, or crashed."""
        self._do(self._fly(flight))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reach(self, position: Position) -> None:
        """Let the hub come to a position of its log that it does not know yet, because another server was faster and has told
        it to a client. Where the log does not know it either, there is nothing to wait for."""
        here = self._hub.position
        if position.epoch == here.epoch and position.offset > here.offset:
            with suppress(RealtimeError):
                head = await self._broker.head()
                if head.epoch == position.epoch and head.offset >= position.offset:
                    await self._feed.reached(position)

    def sweep(self) -> None:
        """Forget rows that are too old to be shared."""
        self._warm.sweep()

    async def _fly(self, flight: Flight) -> None:
        try:
            for _ in range(ATTEMPTS):
                known = self._warm.rows(flight.channel)
                if known is not None and len(known) <= self._reads.rows:
                    self._hand_over(flight, known)
                    return
                began = self._reads.clock()
                rows = await self._read(flight)
                if rows is None:
                    if flight.waiters:
                        continue
                    self._hub.crash(flight, ErrorCode.SNAPSHOT_FAILED, "Nobody waits for it.")
                    return
                if not flight.spoiled:
                    self._learn(flight, self._hub.land(flight, rows), began)
                    return
                flight.restart()
        except Refused as refused:
            self._hub.crash(flight, ErrorCode(refused.code), refused.message)
            return
        except Ending:
            pass  # its connections are told soon
        except Exception:
            log.exception("The rows of a channel could not be read. [snapshot-failed]")
        self._hub.crash(flight, ErrorCode.SNAPSHOT_FAILED, "The rows could not be read now; try again.")

    def _hand_over(self, flight: Flight, rows: Sequence[Row]) -> None:
        """Land with rows that are at hand. Whoever has no room for them yet waits for another flight, which reads when these
        are too old: for so long it is not cut for what it could not take as fast."""
        size = sum(len(row.record) for row in rows)
        late = {each: number for each, number in flight.waiters.items() if each.pending and each.pending + size > each.budget}
        for connection in late:
            del flight.waiters[connection]
        self._hub.land(flight, rows)
        if flight.channel not in self._unchecked:
            self._unchecked.add(flight.channel)
            self._check_later(flight.channel, flight.pattern)
        for connection, number in late.items():
            again = self._hub.board(connection, number, flight.channel, flight.pattern)
            if again is not None:
                asyncio.get_running_loop().call_later(LOOK, self.start, again)

    def _check_later(self, channel: str, pattern: str) -> None:
        """See to it that what was handed out is checked when there is time for it, or must be."""
        due = self._warm.due(channel)
        if due is None:
            self._unchecked.discard(channel)
        else:
            wait = max(due - self._reads.clock(), LOOK)
            asyncio.get_running_loop().call_later(wait, self._check_now, channel, pattern)

    def _check_now(self, channel: str, pattern: str) -> None:
        due = self._warm.due(channel)
        if due is None or due > self._reads.clock():
            self._check_later(channel, pattern)
        else:
            self._do(self._check(Flight(channel, pattern, checks=True)))

    async def _check(self, flight: Flight) -> None:
        """Read once more what was handed out; where that is refused it is loaded anew."""
        began, since = self._reads.clock(), self._hub.position
        try:
            rows = await self._read(flight)
            for entry in self._hub.history.after(since):
                flight.offer(entry)
            if rows is not None and not flight.spoiled:
                self._learn(flight, flight.merge(rows), began)
        except Refused:
            self._warm.forget(flight.channel)
            self._invalidate(flight.channel)
        except Exception as error:  # whatever it is: nobody waits for it, and without a check readers could stay wrong
            # While the rows were read the log may have moved on by more than it holds.
            if not isinstance(error, PositionGone | Ending):
                log.exception("What readers of a channel were sent could not be checked yet. [check-failed]")
            asyncio.get_running_loop().call_later(AGAIN, self._check_now, flight.channel, flight.pattern)
            return
        self._check_later(flight.channel, flight.pattern)

    def _learn(self, flight: Flight, rows: Sequence[Row], began: float) -> None:
        """These are the rows where the hub is now. Whoever was handed others loads them anew, wherever its connection is."""
        if self._warm.refuted(flight, rows):
            log.warning("Another program writes %s; its rows are read for everybody. [rows-not-told]", flight.pattern)
            self._invalidate(flight.channel)
        self._warm.keep(flight, rows, self._hub.position, began)

    def _invalidate(self, channel: str) -> None:
        """Through the log, because whoever was handed the rows may come back to another server, from a position after them."""
        self._broker.enter(Commit((), frozenset({channel})))

    async def _read(self, flight: Flight) -> Sequence[Row] | None:
        """The rows, when it is their turn and the hub has told of whatever they can be in; None where nobody waits for them
        any more by then. Raises Refused."""
        if self._reading < self._reads.at_once:
            self._reading += 1
        elif await self._turn(flight):
            # What came until now they will have seen.
            flight.restart()
        else:
            return None
        try:
            rows = await self._archive.rows(flight.channel) if flight.wanted else None
        finally:
            self._pass_on()
        if rows is not None:
            # Whatever the read can have seen is at or below this position.
            await self._feed.reached(await self._broker.head())
        return rows

    async def _turn(self, flight: Flight) -> bool:
        """Wait in the line, and say whether there is still a reason to."""
        if len(self._line) >= self._reads.line:
            self._thin_out()
        if len(self._line) >= self._reads.line:
            raise Refused(ErrorCode.SNAPSHOT_FAILED, "Too many rows are being read; try again.")
        place = self._line[flight] = asyncio.get_running_loop().create_future()
        return bool(await place)

    def _thin_out(self) -> None:
        """Send those away for whom nobody waits any more."""
        for flight in [each for each in self._line if not each.wanted]:
            self._line.pop(flight).set_result(False)

    def _pass_on(self) -> None:
        """Whoever has read leaves its turn to the next in the line."""
        while self._line:
            place = self._line.pop(next(iter(self._line)))
            if not place.done():
                place.set_result(True)
                return
        self._reading -= 1
