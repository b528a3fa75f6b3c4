"""The hub: every commit goes to whoever has joined one of its channels, as one frame, built once per set of channels.

All live channels of a connection are at the hub's own position, always: what a subscribe is answered with brings its
channels there in one step. So one position is enough for a client to come back with.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from sqla_realtime.commit import Entry, Event, Order, Position
from sqla_realtime.history import Bounds, History
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.edition import Post, hand_out
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.frames import Frames, groups
from sqla_realtime.hub.held import Held
from sqla_realtime.hub.past import Past
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Error, Joined, Ping, Recovered, Reset, Row, Snapshot


class Hub:
    """Loop thread only, but for ``wants``. Nothing here waits, reads or writes. A jump begins another ``history``."""

    def __init__(
        self, position: Position, bounds: Bounds, clock: Callable[[], float] = time.monotonic, post: Post = hand_out
    ) -> None:
        self.history = History(position, bounds, clock)
        self._past = Past(self.history)
        self._bounds = bounds
        self._clock = clock
        self._post = post
        # Does what a log says to all its servers; None: some of it may have been missed.
        self.obey: Callable[[Order | Event | None], None] = lambda order: None
        self._live: dict[str, dict[Connection, None]] = {}
        self._flights: dict[str, Flight] = {}
        self._held: dict[Connection, Held] = {}
        # Whoever is in a channel, by its id.
        self._members: dict[str, dict[Connection, None]] = {}
        # Every known channel's pattern, how many known channels each pattern has, and until when it is of interest.
        self._patterns: dict[str, str] = {}
        self._population: Counter[str] = Counter()
        self._interest: dict[str, float] = {}

    @property
    def position(self) -> Position:
        """The last entry that was dispatched."""
        return self.history.head

    def wants(self, pattern: str) -> bool:
        """Whether anybody can receive changes of a pattern's channels: whoever has joined one, or may come back to it. Any
        thread."""
        return self._interest.get(pattern, 0.0) > self._clock()

    def dispatch(self, entry: Entry) -> None:
        """Send the next entry of the log to everyone it concerns."""
        self.history.append(entry)
        commit = entry.commit
        for flight in self._flights.values():
            flight.offer(entry)
        if commit.invalidated:
            self._reset(commit.invalidated)
        heeded: tuple[Order | Event, ...] = (*commit.orders, *commit.events)
        for order in heeded:
            self.obey(order)
        names = dict.fromkeys(change.channel for change in commit.changes)
        touched = {name: self._live[name] for name in names if name in self._live}
        own: Collection[Connection] = () if commit.origin is None else list(self._members.get(commit.origin, ()))
        frames = Frames(entry, own, self._post)
        for channels, connections in groups(touched).items():
            frames.send(channels, connections)
        for connection in own:
            if connection.told != entry.position:
                # It has not heard of its own commit, which is in none of its channels, and may wait for it.
                connection.tell(Ping(entry.position, own=True))

    def jump(self, position: Position) -> None:
        """Part of the log is lost to this hub: go on from a position, and have everyone load their channels anew."""
        self.history = History(position, self._bounds, self._clock)
        self._past = Past(self.history)
        for flight in self._flights.values():
            flight.spoiled = True
        self._reset(frozenset(self._live))
        self.obey(None)

    def resume(self, connection: Connection, number: int | None, channels: Mapping[str, str], after: Position) -> list[str]:
        """Bring channels (name to pattern) from a position to the hub's; returns those that need a snapshot instead.

        Without a ``number`` the client has not asked and takes all of them for live: those are then reset as well.
        """
        recovered, commits, own = self._past.missed(connection, channels, after)
        unresumed = [name for name in channels if name not in recovered]
        if unresumed and number is None:
            # Before its position moves on: a client that is cut off in between must not come back from beyond the gap.
            connection.tell(Reset(tuple(unresumed), ErrorCode.INVALIDATED))
            for name in () if connection.codec.rows else unresumed:
                self._enter(connection, name, channels[name])
        if recovered:
            connection.tell(Recovered(number, self.position, tuple(recovered), commits, own))
            for name in recovered:
                if name in self._flights:
                    # It asked for the rows before; only the later request is answered.
                    self._flights[name].waiters.pop(connection, None)
                self._enter(connection, name, channels[name])
        return unresumed

    def attend(self, connection: Connection, number: int, channels: Mapping[str, str]) -> None:
        """Have a connection hear of channels from now on, where its codec has no rows."""
        connection.tell(Joined(number, tuple(channels)))
        for name, pattern in channels.items():
            self._enter(connection, name, pattern)

    def board(self, connection: Connection, number: int, name: str, pattern: str) -> Flight | None:
        """Have a connection wait for a channel's snapshot; returns the flight where a new one has to be flown."""
        self.leave(connection, [name])
        self._know(name, pattern)
        known = self._flights.get(name)
        flight = self._flights[name] = known or Flight(name, pattern)
        flight.waiters[connection] = number
        return None if known else flight

    def land(self, flight: Flight, rows: Iterable[Row]) -> list[Row]:
        """The rows have been read, and the hub is at the log's head of that moment or later: answer the waiters, and return
        the rows as of the hub's position."""
        del self._flights[flight.channel]
        merged = flight.merge(rows)
        for connection, number in flight.waiters.items():
            connection.tell(Snapshot(number, self.position, flight.channel, merged))
            self._enter(connection, flight.channel, flight.pattern)
        self._tidy(flight.channel)
        return merged

    def crash(self, flight: Flight, code: ErrorCode, message: str) -> None:
        """The rows could not be read, or not be sent: say so to the waiters."""
        self._flights.pop(flight.channel, None)
        for connection, number in flight.waiters.items():
            self.leave(connection, [flight.channel])
            connection.tell(Error(code, message, channel=flight.channel, id=number))
        self._tidy(flight.channel)

    def hold(self, connection: Connection) -> None:
        """Send a connection nothing of its channels from now on, until it is released. See Held for why of all."""
        if connection not in self._held:
            live = {name: self._patterns[name] for name in sorted(connection.channels)}
            waiting = {
                name: (flight.waiters[connection], flight.pattern)
                for name, flight in self._flights.items()
                if connection in flight.waiters
            }
            self.leave(connection, [*live, *waiting])
            self._held[connection] = Held(self.position, live, waiting)

    def release(self, connection: Connection) -> list[Flight]:
        """Go on with a connection that is held, from where it stopped; returns the flights that have to be flown."""
        held = self._held.pop(connection, None)
        if held is None:
            return []
        self.resume(connection, None, held.live, held.since)
        flights = [self.board(connection, number, name, pattern) for name, (number, pattern) in held.waiting.items()]
        return [flight for flight in flights if flight is not None]

    def leave(self, connection: Connection, names: Iterable[str]) -> None:
        """Take a connection out of channels; nothing of them is sent to it any more."""
        for name in names:
            if name in connection.channels:
                connection.channels.discard(name)
                self._forget(connection)
            if connection in self._held:
                self._held[connection].drop(name)
            if name in self._live:
                self._live[name].pop(connection, None)
            if name in self._flights:
                self._flights[name].waiters.pop(connection, None)
            self._tidy(name)

    def close(self, connection: Connection) -> None:
        """A connection is gone, or has no rights any more."""
        self.leave(connection, [*self.joined(connection)])
        self._held.pop(connection, None)

    def joined(self, connection: Connection) -> dict[str, str]:
        """The channels that a connection has joined or waits for, held or not, and their patterns."""
        held = self._held.get(connection)
        if held is not None:
            return held.patterns
        waiting = {name: flight.pattern for name, flight in self._flights.items() if connection in flight.waiters}
        return {name: self._patterns[name] for name in connection.channels} | waiting

    def waiting(self, connection: Connection) -> dict[str, int]:
        """The channels whose rows a connection waits for, held or not, and the requests that asked for them."""
        held = self._held.get(connection)
        if held is not None:
            return {name: number for name, (number, _) in held.waiting.items()}
        flights = self._flights.items()
        return {name: flight.waiters[connection] for name, flight in flights if connection in flight.waiters}

    def reset(self, connection: Connection, reason: ErrorCode) -> None:
        """Have a connection load every channel anew that it has joined."""
        names = sorted(connection.channels)
        if names:
            connection.tell(Reset(tuple(names), reason))
            self.leave(connection, names)

    def _enter(self, connection: Connection, name: str, pattern: str) -> None:
        if connection.close_code is None:
            self._know(name, pattern)
            self._live.setdefault(name, {})[connection] = None
            connection.channels.add(name)
            self._members.setdefault(connection.id, {})[connection] = None

    def _forget(self, connection: Connection) -> None:
        """A connection that is in no channel any more is no member."""
        if not connection.channels and connection.id in self._members:
            self._members[connection.id].pop(connection, None)
            if not self._members[connection.id]:
                del self._members[connection.id]

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
            if connection.codec.rows:
                self.leave(connection, names)
