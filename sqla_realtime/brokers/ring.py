"""The recent entries of a log in this process, and the loops that follow it: each gets every entry, in order."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import suppress

from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.history import Bounds, History

# How the next entries are waited for: until the event is set, or a little less.
Wait = Callable[[asyncio.Event], Awaitable[object]]
# What comes after a position that the ring does not reach back to: a part of it, or nothing yet. Raises PositionGone.
Older = Callable[[Position], Awaitable[list[Entry]]]


class Ring:
    """Any thread; nothing here blocks for longer than its lock is held."""

    def __init__(self, start: Position, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._history = History(start, bounds, clock)
        self._followers: dict[_Follower, None] = {}

    @property
    def head(self) -> Position:
        """The last entry's position, or where the ring began."""
        return self._history.head

    @property
    def bounds(self) -> Bounds:
        """How much past is kept."""
        return self._history.bounds

    @bounds.setter
    def bounds(self, bounds: Bounds) -> None:
        with self._lock:
            self._history.bounds = bounds

    @property
    def followed(self) -> bool:
        """Whether anybody follows."""
        return bool(self._followers)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add the next entries, then wake whoever waits for them."""
        with self._lock:
            for entry in entries:
                self._history.append(entry)
            self._wake()

    def begin(self, start: Position) -> None:
        """Go on from a position, with no past: whoever follows from an earlier one is told that it is gone."""
        with self._lock:
            self._history = History(start, self._history.bounds, self._clock)
            self._wake()

    def held(self) -> list[Entry]:
        """Everything that is kept."""
        with self._lock:
            epoch, offset = self._history.head
            return self._history.after(Position(epoch, offset - len(self._history)))

    def after(self, position: Position) -> list[Entry]:
        """Everything after a position. Raises PositionGone."""
        with self._lock:
            return self._history.after(position)

    def wake(self) -> None:
        """Have everybody look, though nothing was added."""
        with self._lock:
            self._wake()

    async def follow(self, after: Position, wait: Wait, older: Older | None = None) -> AsyncGenerator[Entry]:
        """Every entry after a position, for ever. Raises PositionGone."""
        follower = _Follower()
        with self._lock:
            self._followers[follower] = None
        try:
            while True:
                try:
                    with self._lock:
                        follower.rest()
                        entries = self._history.after(after)
                except PositionGone:
                    if older is None:
                        raise
                    entries = await older(after)
                for entry in entries:
                    yield entry
                    after = entry.position
                if not entries:
                    await wait(follower.event)
        finally:
            with self._lock:
                del self._followers[follower]

    def _wake(self) -> None:
        for follower in self._followers:
            follower.wake()


class _Follower:
    """One loop's wake-up. Its methods are called with the ring's lock held."""

    __slots__ = ("_loop", "_woken", "event")

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._woken = False

    def rest(self) -> None:
        """It looks now, and is to be woken for whatever comes after."""
        self._woken = False
        self.event.clear()

    def wake(self) -> None:
        """Have it look; once is enough until it has."""
        if not self._woken:
            self._woken = True
            # A loop that is closing takes no calls; its follower is about to go.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.event.set)
