"""The hub: every commit goes to whoever has joined one of its channels, as one frame, built once per set of channels.

All live channels of a connection are at the hub's own position, always: what a subscribe is answered with brings its
channels there in one step. So one position is enough for a client to come back with.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.history import Bounds, History
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.flight import Flight
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Error, Recovered, Reset, Row, Snapshot


class Hub:
    """Loop thread only, but for ``wants``. Nothing here waits, reads or writes."""

    def __init__(self, position: Position, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._history = History(position, bounds, clock)
        self._bounds = bounds
        self._clock = clock
        self._live: dict[str, dict[Connection, None]] = {}
        self._flights: dict[str, Flight] = {}
        # Every known channel's pattern, how many known channels each pattern has, and until when it is of interest.
        self._patterns: dict[str, str] = {}
        self._population: Counter[str] = Counter()
        self._interest: dict[str, float] = {}

    @property
    def position(self) -> Position:
        """The last entry that was dispatched."""
        return self._history.head

    def wants(self, pattern: str) -> bool:
        """Whether anybody can receive changes of a pattern's channels: whoever has joined one, or may come back to it.

        Any thread.
        """
        return self._interest.get(pattern, 0.0) > self._clock()

    def dispatch(self, entry: Entry) -> None:
        """Send the next entry of the log to everyone it concerns."""
        self._history.append(entry)
        commit = entry.commit
        for flight in self._flights.values():
            flight.offer(entry)
        if commit.invalidated:
            self._reset(commit.invalidated)
        names = dict.fromkeys(change.channel for change in commit.changes)
        touched = {name: self._live[name] for name in names if name in self._live}
        spelled: dict[tuple[str, int], bytes] = {}
        for channels, connections in _groups(touched).items():
            frames: dict[str, bytes] = {}
            for connection in connections:
                codec = connection.codec
                frame = frames.get(codec.name)
                if frame is None:
                    frame = frames[codec.name] = _frame(codec, entry, channels, spelled)
                connection.send(frame)

    def jump(self, position: Position) -> None:
        """Part of the log is lost to this hub: go on from a position, and have everyone load their channels anew."""
        self._history = History(position, self._bounds, self._clock)
        for flight in self._flights.values():
            flight.spoiled = True
        self._reset(frozenset(self._live))

    def resume(self, connection: Connection, number: int, channels: Mapping[str, str], after: Position) -> list[str]:
        """Bring channels (name to pattern) from a position to the hub's; returns those that need a snapshot instead."""
        try:
            missed = self._history.after(after)
        except PositionGone:
            return list(channels)
        gaps = frozenset[str]().union(*(entry.commit.invalidated for entry in missed))
        recovered = [name for name, pattern in channels.items() if gaps.isdisjoint((name, pattern))]
        wanted = frozenset(recovered)
        commits = [
            (entry.position, changes)
            for entry in missed
            if (changes := [change for change in entry.commit.changes if change.channel in wanted])
        ]
        if sum(change.size for _, changes in commits for change in changes) > connection.budget:
            # Rows once are less than everything that happened to them.
            return list(channels)
        if recovered:
            connection.tell(Recovered(number, self.position, tuple(recovered), commits))
            for name in recovered:
                if name in self._flights:
                    # It asked for the rows before; only the later request is answered.
                    self._flights[name].waiters.pop(connection, None)
                self._enter(connection, name, channels[name])
        return [name for name in channels if name not in recovered]

    def board(self, connection: Connection, number: int, name: str, pattern: str) -> Flight | None:
        """Have a connection wait for a channel's snapshot; returns the flight where a new one has to be flown."""
        self.leave(connection, [name])
        self._know(name, pattern)
        flight = self._flights.get(name)
        if flight is not None:
            flight.waiters[connection] = number
            return None
        flight = self._flights[name] = Flight(name, pattern)
        flight.waiters[connection] = number
        return flight

    def land(self, flight: Flight, rows: Iterable[Row]) -> None:
        """The rows have been read, and the hub is at or after the log's head of that moment: answer the waiters."""
        del self._flights[flight.channel]
        merged = flight.merge(rows)
        for connection, number in flight.waiters.items():
            connection.tell(Snapshot(number, self.position, flight.channel, merged))
            self._enter(connection, flight.channel, flight.pattern)
        self._tidy(flight.channel)

    def crash(self, flight: Flight, code: ErrorCode, message: str) -> None:
        """The rows could not be read, or not be sent: say so to the waiters."""
        self._flights.pop(flight.channel, None)
        for connection, number in flight.waiters.items():
            self.leave(connection, [flight.channel])
            connection.tell(Error(code, message, channel=flight.channel, id=number))
        self._tidy(flight.channel)

    def leave(self, connection: Connection, names: Iterable[str]) -> None:
        """Take a connection out of channels; nothing of them is sent to it any more."""
        for name in names:
            connection.channels.discard(name)
            if name in self._live:
                self._live[name].pop(connection, None)
            if name in self._flights:
                self._flights[name].waiters.pop(connection, None)
            self._tidy(name)

    def close(self, connection: Connection) -> None:
        """A connection is gone."""
        self.leave(connection, self.joined(connection))

    def joined(self, connection: Connection) -> set[str]:
        """The channels that a connection has joined or waits for."""
        return connection.channels | {name for name, flight in self._flights.items() if connection in flight.waiters}

    def _enter(self, connection: Connection, name: str, pattern: str) -> None:
        if connection.close_code is None:
            self._know(name, pattern)
            self._live.setdefault(name, {})[connection] = None
            connection.channels.add(name)

    def _know(self, name: str, pattern: str) -> None:
        if name not in self._patterns:
            self._patterns[name] = pattern
            self._population[pattern] += 1
        self._interest[pattern] = math.inf

    def _tidy(self, name: str) -> None:
        """Forget a channel that nobody is in; its pattern stays wanted as long as somebody may come back to it."""
        if name in self._flights or self._live.get(name):
            return
        self._live.pop(name, None)
        pattern = self._patterns.pop(name, None)
        if pattern is not None:
            self._population[pattern] -= 1
            if not self._population[pattern]:
                del self._population[pattern]
                self._interest[pattern] = self._clock() + self._bounds.age

    def _reset(self, invalidated: frozenset[str]) -> None:
        """Tell everyone in these channels, or in channels of these patterns, to load them anew."""
        lost: dict[Connection, list[str]] = {}
        for name, connections in self._live.items():
            if not invalidated.isdisjoint((name, self._patterns[name])):
                for connection in connections:
                    lost.setdefault(connection, []).append(name)
        for connection, names in lost.items():
            connection.tell(Reset(tuple(names), ErrorCode.INVALIDATED))
            self.leave(connection, names)


def _groups(touched: Mapping[str, dict[Connection, None]]) -> dict[frozenset[str], Iterable[Connection]]:
    """The connections that a commit concerns, by which of its channels they are in."""
    if len(touched) == 1:
        [(name, connections)] = touched.items()
        return {frozenset((name,)): list(connections)}
    joined: dict[Connection, list[str]] = {}
    for name, connections in touched.items():
        for connection in connections:
            joined.setdefault(connection, []).append(name)
    groups: dict[frozenset[str], list[Connection]] = {}
    for connection, names in joined.items():
        groups.setdefault(frozenset(names), []).append(connection)
    return {**groups}


def _frame(codec: Codec, entry: Entry, channels: frozenset[str], spelled: dict[tuple[str, int], bytes]) -> bytes:
    """The commit as these channels see it; ``spelled`` keeps its changes for the other sets of channels."""
    changes = []
    for index, change in enumerate(entry.commit.changes):
        if change.channel in channels:
            text = spelled.get((codec.name, index))
            if text is None:
                text = spelled[codec.name, index] = codec.change(change)
            changes.append(text)
    return codec.commit(entry.position, changes)
