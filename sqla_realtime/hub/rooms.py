"""Rooms: who is in a channel that is more than its rows, and what was said there last, where somebody may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from sqla_realtime.hub.connection import Connection

# So many rooms have their last words remembered, and for so many seconds.
MEMORIES = 1000
AGE = 1800.0


class Words(NamedTuple):
    """The last message in a room, spelled, and for how many seconds it is known."""

    data: bytes
    left: float


class Rooms:
    """Who hears what is said by name. Loop thread only. A room is there as long as somebody is in it.

    What it costs is bounded by what each connection may join. The last words are kept apart, of a bounded number of rooms.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rooms: dict[str, dict[Connection, None]] = {}
        self._last: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def __iter__(self) -> Iterator[str]:
        return iter(self._rooms)

    def enter(self, name: str, connection: Connection) -> bool:
        """Whether it was not in the room before."""
        room = self._rooms.setdefault(name, {})
        new = connection not in room
        room[connection] = None
        return new

    def leave(self, name: str, connection: Connection) -> None:
        """Doing so twice changes nothing."""
        room = self._rooms.get(name)
        if room is not None:
            room.pop(connection, None)
            if not room:
                del self._rooms[name]

    def inside(self, name: str) -> Collection[Connection]:
        """Everybody in a room."""
        return self._rooms.get(name, {}).keys()

    def say(self, name: str, data: bytes, without: str | None = None) -> None:
        """Send one spelled message to everybody in a room, behind all that each was sent before."""
        for connection in list(self.inside(name)):
            if connection.id != without:
                connection.settle()
                connection.send(data)

    def remember(self, name: str, data: bytes) -> None:
        """These are the last words in a room, whoever is in it."""
        self._last.pop(name, None)
        self._last[name] = (self._clock() + AGE, data)
        if len(self._last) > MEMORIES:
            self._last.popitem(last=False)

    def forget(self) -> None:
        """Something else may have been said last, in any room."""
        self._last.clear()

    def last(self, name: str) -> Words | None:
        """The last words in a room, where they are known still."""
        until, data = self._last.get(name, (0.0, b""))
        left = until - self._clock()
        if left > 0:
            return Words(data, left)
        self._last.pop(name, None)
        return None
