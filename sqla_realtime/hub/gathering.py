"""Who is together in channels, besides their rows: members, of whom the others are told, and what they say to each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from hashlib import blake2b
from typing import Any, NamedTuple

from sqla_realtime.commit import Event
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.pace import Bucket
from sqla_realtime.hub.presence import Crowded, Member, Presence
from sqla_realtime.hub.rooms import Rooms
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.gathering import MemberJoined, MemberLeft, Members, Person, Spoken
from sqla_realtime.protocol.v1 import V1

# The application that events of the native dialect are said in; those of other dialects have a name.
NATIVE = ""
# How many events one user may say a second, and at once.
EVENTS, BURST = 10.0, 20.0
# Of so many users it is remembered how fast they speak, before those are forgotten who have been quiet for a while.
SPEAKERS = 1000


class Seat(NamedTuple):
    """A connection's place in a channel of this pattern. ``user`` is None for whoever only listens, ``info`` where the
    others are not told that it is there."""

    pattern: str
    user: str | None = None
    info: str | None = None


class Gathering:
    """Loop thread only. ``publish`` has events in the log, from where every server hears them; without it this one does.

    A connection that is held is told nothing, and to the others it is still there.
    """

    def __init__(
        self,
        publish: Callable[[Event], Future[Any]] | None = None,
        presence: Callable[..., Presence] = Presence,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.publish = publish or self._echo
        self._presence = presence(self._announce)
        self._clock = clock
        self._codec = V1()
        self._rooms = Rooms()
        self._seats: dict[Connection, dict[str, Seat]] = {}
        self._held: set[Connection] = set()
        # What stands for the members of each channel: the same in all servers, in whatever order they came.
        self._tags: dict[str, int] = {}
        # Each of them as it is told, in the order of coming.
        self._people: dict[str, dict[str, bytes]] = {}
        self._speakers: dict[str, Bucket] = {}

    def attend(self, connection: Connection, number: int, channel: str, seat: Seat, tag: str | None = None) -> None:
        """Have a connection be with the others in a channel. Raises Refused where there are too many."""
        if connection.close_code is not None:
            return
        before = self.seat(connection, channel)
        if before is not None and before.user != seat.user:
            self.leave(connection, [channel])
        if seat.user is not None and seat.info is not None:
            try:
                self._presence.join(channel, connection, seat.user, seat.info)
            except Crowded:
                raise Refused(ErrorCode.CHANNEL_FULL, "There are as many in this channel as may be.") from None
        self._seats.setdefault(connection, {})[channel] = seat
        self._rooms.enter(channel, connection)
        self._tell(connection, number, channel, seat, tag)

    def seat(self, connection: Connection, channel: str) -> Seat | None:
        """Its place in a channel, if it has one."""
        return self._seats.get(connection, {}).get(channel)

    def attended(self, connection: Connection) -> dict[str, str]:
        """The channels where a connection is, and their patterns."""
        return {name: seat.pattern for name, seat in self._seats.get(connection, {}).items()}

    def leave(self, connection: Connection, names: Iterable[str], *, lost: bool = False) -> None:
        """A connection is in these channels no more; one that was ``lost`` may come back, and was never gone then."""
        seats = self._seats.get(connection, {})
        for name in names:
            seat = seats.pop(name, None)
            if seat is not None:
                self._rooms.leave(name, connection)
                if seat.user is not None:
                    self._presence.leave(name, connection, seat.user, lost=lost)
        if not seats:
            self._seats.pop(connection, None)
            self._held.discard(connection)

    def close(self, connection: Connection) -> None:
        """A connection is gone, or has no rights for now."""
        self.leave(connection, [*self._seats.get(connection, {})], lost=True)

    def hold(self, connection: Connection) -> None:
        """Tell a connection nothing from now on, until it is released."""
        for name in self._seats.get(connection, {}):
            self._rooms.leave(name, connection)
            self._held.add(connection)

    def release(self, connection: Connection) -> None:
        """Go on with a connection that was held: it is told anew who is there. What was said meanwhile it has not heard."""
        if connection in self._held:
            self._held.discard(connection)
            for name, seat in self._seats.get(connection, {}).items():
                self._rooms.enter(name, connection)
                self._tell(connection, None, name, seat, None)

    def may_speak(self, user: str) -> bool:
        """Whether what a user says now is not one too many, whichever connection it comes from."""
        if len(self._speakers) > SPEAKERS:
            self._speakers = {each: bucket for each, bucket in self._speakers.items() if not bucket.full}
        return self._speakers.setdefault(user, Bucket(EVENTS, BURST, self._clock)).take()

    def hear(self, event: Event) -> None:
        """Something was said, by whatever server's client."""
        if event.app == NATIVE and event.user is not None and self._rooms.inside(event.channel):
            spoken = Spoken(event.channel, event.name, event.data, event.user)
            self._rooms.say(event.channel, self._codec.encode(spoken), event.without)

    def end(self) -> None:
        """The server ends."""
        self._presence.close()

    def _tell(self, connection: Connection, number: int | None, channel: str, seat: Seat, tag: str | None) -> None:
        now = self._tag(channel)
        people = None if tag == now else self._people.get(channel, {}).values()
        connection.tell(Members(number, channel, now, people, seat.user))

    def _announce(self, channel: str, member: Member, here: bool) -> None:
        person = Person(member.id, member.info)
        self._tags[channel] = self._tags.get(channel, 0) ^ _digest(person)
        tag = self._tag(channel)
        told = MemberJoined(channel, person, tag) if here else MemberLeft(channel, member.id, tag)
        self._rooms.say(channel, self._codec.encode(told))
        people = self._people.setdefault(channel, {})
        if here:
            people[member.id] = self._codec.person(person)
        else:
            people.pop(member.id, None)
        if not people:
            del self._people[channel], self._tags[channel]

    def _tag(self, channel: str) -> str:
        return f"{self._tags.get(channel, 0):x}"

    def _echo(self, event: Event) -> Future[Any]:
        self.hear(event)
        done: Future[Any] = Future()
        done.set_result(None)
        return done


def _digest(person: Person) -> int:
    return int.from_bytes(blake2b("\n".join(person).encode(), digest_size=8).digest())
