"""Rows that were read a moment ago, brought up to date from the log: whoever comes next gets them without a read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.pace import Clock
from sqla_realtime.protocol.messages import Row

# How many bytes of records may be kept in all. Rows that do not fit are read anew for everybody.
MOST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shelf:
    """A channel's rows as they were at a position, and when they were read."""

    rows: Sequence[Row]
    position: Position
    read_at: float
    size: int


class Warm:
    """The rows of channels by name, each for ``seconds`` after it was read. ``since`` is the log: every entry after a
    position, or PositionGone."""

    def __init__(self, seconds: float, since: Callable[[Position], Iterable[Entry]], clock: Clock = time.monotonic) -> None:
        self._seconds = seconds
        self._since = since
        self._clock = clock
        self._shelves: dict[str, Shelf] = {}
        self._size = 0

    def keep(self, channel: str, rows: Sequence[Row], position: Position, read_at: float) -> None:
        """These are a channel's rows at a position, from a read that began at a moment of the clock."""
        self.sweep()
        self._drop(channel)
        size = sum(len(row.record) for row in rows)
        if self._seconds and self._size + size <= MOST:
            self._shelves[channel] = Shelf(rows, position, read_at, size)
            self._size += size

    def rows(self, channel: str, pattern: str) -> Sequence[Row] | None:
        """A channel's rows where the log ends by now; None where they have to be read."""
        self.sweep()
        shelf = self._shelves.get(channel)
        if shelf is None:
            return None
        update = Flight(channel, pattern)
        try:
            for entry in self._since(shelf.position):
                update.offer(entry)
        except PositionGone:
            update.spoiled = True
        if update.spoiled:
            self._drop(channel)
            return None
        return update.merge(shelf.rows)

    def sweep(self) -> None:
        """Forget what is too old."""
        oldest = self._clock() - self._seconds
        for channel in [name for name, shelf in self._shelves.items() if shelf.read_at < oldest]:
            self._drop(channel)

    def _drop(self, channel: str) -> None:
        shelf = self._shelves.pop(channel, None)
        if shelf is not None:
            self._size -= shelf.size
