"""The recent past of one log, bounded by count, bytes and age: it answers with everything after a position, or not at all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import PositionGone


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much past is kept: entries, bytes and seconds, whichever ends first."""

    count: int = 10_000
    size: int = 64 * 1024 * 1024
    age: float = 600.0


class History:
    """Consecutive entries of one epoch. Not thread-safe: its owner guards it.

    ``head`` is the position of the last entry appended, or where the history began. Reaching back to a position means
    holding every entry after it; a position from the future or of another epoch is as gone as a trimmed one.
    """

    def __init__(self, head: Position, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self.head = head
        self.bounds = bounds
        self._clock = clock
        self._entries: deque[tuple[float, int, Entry]] = deque()
        self._size = 0

    def __iter__(self) -> Iterator[Entry]:
        return (entry for _, _, entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Entry) -> None:
        """Add the next entry of the log and forget what is out of bounds."""
        size = entry.commit.size
        self._entries.append((self._clock(), size, entry))
        self._size += size
        self.head = entry.position
        self.trim()

    def trim(self) -> None:
        """Forget what is out of bounds now; age passes without appends too."""
        oldest = self._clock() - self.bounds.age
        entries = self._entries
        while entries and (len(entries) > self.bounds.count or self._size > self.bounds.size or entries[0][0] < oldest):
            self._size -= entries.popleft()[1]

    def after(self, position: Position) -> list[Entry]:
        """Every entry after ``position``, in order.

        Raises PositionGone where even one of them may be missing.
        """
        missing = self.head.offset - position.offset
        if position.epoch != self.head.epoch or not 0 <= missing <= len(self._entries):
            raise PositionGone(position=position)
        return [entry for _, _, entry in islice(self._entries, len(self._entries) - missing, None)]
