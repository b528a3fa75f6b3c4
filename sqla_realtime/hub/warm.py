"""Rows that were read a moment ago, brought up to date from the log: in a rush whoever comes next gets them without a read.

What the log does not know, because another program has written it, is missing from them. So whatever was handed out is
compared with a later read, and where that says something else the channel is reloaded and not shared any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field

from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.pace import Clock
from sqla_realtime.protocol.messages import Row

# How many bytes of records may be kept in all. Rows that do not fit are read anew for everybody.
MOST = 64 * 1024 * 1024
# There is a rush on a channel while it is asked for again within so many seconds.
RUSH = 1.0

Key = tuple[str, str]


@dataclass(slots=True)
class Shelf:
    """A channel's rows as they were at a position, when they were read and last asked for, and the keys of those that the
    log has told since. ``lost``: they can't be brought up to date any more."""

    channel: str
    pattern: str
    rows: Sequence[Row]
    position: Position
    read_at: float
    asked_at: float
    size: int
    handed: bool = False
    lost: bool = False
    told: set[Key] = field(default_factory=set)


class Warm:
    """The rows of channels by name, each for ``seconds`` after it was read. ``since`` is the log: every entry after a
    position, or PositionGone."""

    def __init__(self, seconds: float, since: Callable[[Position], Iterable[Entry]], clock: Clock = time.monotonic) -> None:
        self._seconds = seconds
        self._since = since
        self._clock = clock
        self._shelves: dict[str, Shelf] = {}
        self._size = 0
        # The patterns of channels that another program writes.
        self._distrusted: set[str] = set()

    def keep(self, flight: Flight, rows: Sequence[Row], position: Position, read_at: float) -> None:
        """These are a channel's rows at a position, from a read that began at a moment of the clock."""
        self.sweep()
        self.forget(flight.channel)
        size = sum(len(row.record) for row in rows)
        if self._seconds and flight.pattern not in self._distrusted and self._size + size <= MOST:
            shelf = Shelf(flight.channel, flight.pattern, rows, position, read_at, self._clock(), size, told={*flight.told})
            self._shelves[flight.channel] = shelf
            self._size += size

    def rows(self, channel: str) -> Sequence[Row] | None:
        """A channel's rows where the log ends by now, if there is a rush on it; None where they have to be read."""
        now, shelf = self._clock(), self._shelves.get(channel)
        if shelf is None:
            return None
        rush, shelf.asked_at = now - shelf.asked_at <= RUSH, now
        if not rush or now - shelf.read_at > self._seconds or not self._advance(shelf):
            return None
        shelf.handed = True
        return shelf.rows

    def due(self, channel: str) -> float | None:
        """The moment of the clock at which rows that were handed out are to be read again: when the rush is over, or when
        they are too old. None where there are none."""
        shelf = self._shelves.get(channel)
        if shelf is None or not shelf.handed:
            return None
        return min(shelf.asked_at + RUSH, shelf.read_at + self._seconds)

    def refuted(self, flight: Flight, rows: Iterable[Row]) -> bool:
        """Whether a channel's rows where the log ends by now, as a flight has read them, are others than were handed out.

        Only what no commit has told is compared byte by byte: rows that were read are written like each other. Nobody is
        handed rows of the same pattern any more if another program has changed one.
        """
        shelf = self._shelves.get(flight.channel)
        if shelf is None or not shelf.handed or (not self._advance(shelf) and not shelf.lost):
            return False
        if shelf.lost:
            return True
        if _same(shelf.rows, rows, shelf.told | flight.told):
            return False
        self._distrusted.add(flight.pattern)
        return True

    def sweep(self) -> None:
        """Forget what is too old, but for what is still to be compared."""
        oldest = self._clock() - self._seconds
        for shelf in [each for each in self._shelves.values() if each.read_at < oldest and not each.handed]:
            self.forget(shelf.channel)

    def forget(self, channel: str) -> None:
        """A channel's rows are handed out no more, and what was handed out is not to be compared."""
        shelf = self._shelves.pop(channel, None)
        if shelf is not None:
            self._size -= shelf.size

    def _advance(self, shelf: Shelf) -> bool:
        """Bring rows to where the log ends; not possible where it says that everybody is to load them anew."""
        update = Flight(shelf.channel, shelf.pattern)
        try:
            for entry in self._since(shelf.position):
                update.offer(entry)
                shelf.position = entry.position
        except PositionGone:
            shelf.lost = True
            return False
        if update.spoiled:
            self.forget(shelf.channel)
            return False
        if update.told:
            shelf.rows = update.merge(shelf.rows)
            shelf.told |= update.told
        return True


def _same(some: Iterable[Row], others: Iterable[Row], told: Set[Key]) -> bool:
    """Whether both are the same rows, and say the same but for those that were told."""
    one, other = ({(row.cls, row.id): row.record for row in rows} for rows in (some, others))
    return one.keys() == other.keys() and all(record == other[key] for key, record in one.items() if key not in told)
