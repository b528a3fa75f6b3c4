"""The log of one process: commits enter it in the order in which their COMMITs began, as each ends.

Two threads may return from COMMIT in the order A, B and get here in the order B, A. A later writer of the same row can
begin its COMMIT only after the earlier one's has ended, so the order of beginnings is the order of the rows. Places in
line are handed out under a lock at the beginning; a commit enters the log when every earlier place is settled. No
COMMIT waits for another, only the entry into the log does.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

from sqla_realtime.brokers.base import Broker, Probe, Ticket
from sqla_realtime.brokers.forks import watch
from sqla_realtime.brokers.ring import Ring
from sqla_realtime.commit import Commit, Entry, Position, new_epoch
from sqla_realtime.history import Bounds

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

# How often places that no event will settle are looked at while somebody waits for them.
PROBE_INTERVAL = 0.005


class _State(Enum):
    OPEN = auto()  # its COMMIT is under way
    COMMITTED = auto()
    FAILED = auto()
    PASSED = auto()  # the line moved on without it


class _Place:
    """One place in line; a Ticket."""

    __slots__ = ("_broker", "begun", "commit", "position", "probe", "state")

    def __init__(self, broker: MemoryBroker, commit: Commit, probe: Probe | None, begun: float) -> None:
        self._broker = broker
        self.commit = commit
        self.probe = probe
        self.begun = begun
        self.state = _State.OPEN
        self.position: Position | None = None

    @property
    def open(self) -> bool:
        # In this order: a place gets its position before it is given up, which a passed one is.
        return self.state is not _State.FAILED and self.position is None

    def finish(self, committed: bool) -> None:
        self._broker._settle(self, self.commit if committed else None)

    def doubt(self) -> None:
        self._broker._settle(self, self.commit.in_doubt())


class MemoryBroker(Broker):
    """The default tier: no service, no SQL; a restart of the process is a new epoch, and so is a fork.

    ``patience`` is how many seconds a COMMIT may keep later commits waiting for their place. After that the line moves
    on without it, and when it ends it enters the log in doubt, because its order is no longer known.
    """

    shared = False

    def __init__(
        self,
        bounds: Bounds | None = None,
        patience: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._begin_epoch(bounds or Bounds())
        watch(self)

    def _begin_epoch(self, bounds: Bounds) -> None:
        self._lock = threading.Lock()
        self._line: deque[_Place] = deque()
        self._ring = Ring(Position(new_epoch(), 0), bounds, self._clock)

    def abandon(self) -> None:
        """In a forked child: begin another log. Two processes must not give one position to different commits, or clients would
        resume past some of them; and what the parent's threads were about ends there."""
        self._begin_epoch(self._ring.bounds)

    def configure(self, bounds: Bounds, patience: float) -> None:
        with self._lock:
            self._ring.bounds = bounds
            self._patience = patience

    def stage(self, commit: Commit, connection: Connection) -> None:
        """The log is not in the database."""

    def begin(self, commit: Commit, probe: Probe | None = None) -> _Place:
        place = _Place(self, commit, probe, self._clock())
        with self._lock:
            self._line.append(place)
            if probe is not None:
                self._ring.wake()
        return place

    def enter(self, commit: Commit) -> Future[None]:
        self.begin(commit).finish(committed=True)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def settle(self, tickets: Iterable[Ticket], patience: float) -> bool:
        deadline = self._clock() + patience
        awaited = [ticket for ticket in tickets if ticket.open]
        while awaited:
            self._look()
            awaited = [ticket for ticket in awaited if ticket.open]
            if awaited:
                if self._clock() >= deadline:
                    return False
                time.sleep(PROBE_INTERVAL)
        return True

    async def start(self) -> Position:
        return await self.head()

    async def head(self) -> Position:
        with self._lock:
            awaited = list(self._line)
        while any(place.state is _State.OPEN for place in awaited):
            await asyncio.sleep(PROBE_INTERVAL)
            self._look()
        with self._lock:
            return self._ring.head

    def held(self) -> list[Entry]:
        """Everything that the log holds now, without waiting for COMMITs that are under way. Any thread."""
        self._look()
        return self._ring.held()

    def follow(self, after: Position) -> AsyncGenerator[Entry]:
        return self._ring.follow(after, self._sleep)

    def close(self) -> None:
        """There is nothing to let go of."""

    async def _sleep(self, wake: asyncio.Event) -> None:
        """Wait for an entry, looking meanwhile after places that no event may ever settle."""
        with self._lock:
            probing = any(place.probe for place in self._line)
            left = self._line[0].begun + self._patience - self._clock() if self._line else self._patience
        with suppress(TimeoutError):
            # wait_for() of Python 3.11 swallows a cancellation that comes together with the event.
            async with asyncio.timeout(PROBE_INTERVAL if probing else max(PROBE_INTERVAL, left)):
                await wake.wait()
        self._look()

    def _look(self) -> None:
        """Ask the probes, and pass over a head of the line that has tried everybody's patience."""
        with self._lock:
            probed = [(place, place.probe) for place in self._line if place.probe and place.state is _State.OPEN]
        for place, probe in probed:
            outcome = probe()
            if outcome is not None:
                place.finish(outcome)
        with self._lock:
            now = self._clock()
            while self._line and self._line[0].begun + self._patience <= now:
                if self._line[0].state is _State.OPEN:
                    self._line[0].state = _State.PASSED
                    log.warning(
                        "A COMMIT has been under way for %.0f s; later commits no longer wait for it. If it ends well, "
                        "its channels are reloaded. [commit-passed]",
                        self._patience,
                    )
                self._advance()

    def _settle(self, place: _Place, commit: Commit | None) -> None:
        with self._lock:
            if place.state is _State.OPEN:
                place.commit = commit or place.commit
                place.state = _State.FAILED if commit is None else _State.COMMITTED
                self._advance()
            elif place.state is _State.PASSED:
                if commit is not None:
                    place.commit = commit.in_doubt()
                    self._enter([place])
                place.state = _State.FAILED

    def _advance(self) -> None:
        """Let everything into the log that nothing earlier holds back."""
        entered = []
        while self._line and self._line[0].state is not _State.OPEN:
            place = self._line.popleft()
            if place.state is _State.COMMITTED:
                entered.append(place)
        if entered:
            self._enter(entered)

    def _enter(self, places: Sequence[_Place]) -> None:
        """These are the next in the log, all at one moment."""
        epoch, offset = self._ring.head
        positions = [Position(epoch, offset + step) for step in range(1, len(places) + 1)]
        self._ring.extend([Entry(at, place.commit) for at, place in zip(positions, places, strict=True)])
        for at, place in zip(positions, places, strict=True):
            place.position = at
