"""The desk of one application of Pusher's protocol: its rooms and members, who is signed in, and what is said to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

from sqla_realtime.commit import Event
from sqla_realtime.hub.company import Company
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.parts import Turn
from sqla_realtime.hub.presence import GRACE, Crowded, Member, Presence
from sqla_realtime.hub.pusher_person import Person
from sqla_realtime.hub.rooms import Rooms
from sqla_realtime.hub.watchlists import WATCHED, Watchlists
from sqla_realtime.protocol import pusher
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.pusher import Pusher
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.protocol.pusher_names import USER, Name, parse
from sqla_realtime.protocol.reports import Fact

# Said in the channel of a user, it closes this user's connections. Nobody can publish it: the prefix is refused.
TERMINATE = "pusher_internal:terminate"
# How often at most a room is told how many are in it, in seconds.
COUNTING = 1.0


class App(Protocol):
    """What is known of an application; settings have it so."""

    @property
    def key(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def client_events(self) -> bool: ...
    @property
    def subscription_count(self) -> bool: ...
    @property
    def watchlists(self) -> bool: ...
    @property
    def webhook(self) -> str | None: ...


class Desk:
    """Loop thread only. ``publish`` has events in the log, from where every server's desk hears it. ``company`` are these
    servers: members and counts are of all of them, and each thing is told outside by one."""

    def __init__(self, app: App, publish: Callable[..., Future[Any]], company: Company | None = None) -> None:
        self.app = app
        self.publish = publish
        self.rooms, self._signed_in = Rooms(), Rooms()
        self._known: dict[str, dict[str, pusher.Known]] = {}
        self._company = company or Company()
        members, self._counts = (self._company.realm(f"{kind} {app.id}") for kind in ("members", "rooms"))
        members.turned = self._member_turned
        self._counts.turned = self._room_turned
        self._counts.moved = lambda turn: self._count(turn.key.channel, outside=turn.outside)
        self.presence = Presence(self._announce, realm=members)
        self._watchlists = Watchlists(self._company.realm(f"users {app.id}")) if app.watchlists else None
        # Where a count is due, and where it is to be told outside, too.
        self._counting: dict[str, asyncio.TimerHandle] = {}
        self._counting_outside: set[str] = set()
        # Is told what an application may want to know, as its webhooks have it.
        self.hook: Callable[[dict[str, Any]], None] = lambda event: None
        # Rooms that are empty, and perhaps not for long.
        self._vacated: dict[str, asyncio.TimerHandle] = {}

    def hear(self, event: Event) -> None:
        """Something was said in a channel of this application, by whatever server's client or publisher."""
        name = parse(event.channel)
        if event.name == TERMINATE:
            for connection in list(self._signed_in.inside(event.channel)):
                connection.close(PusherCode.UNAUTHORIZED)
            return
        data = pusher.heard(event)
        self.rooms.say(event.channel, data, event.without)
        if name is not None and name.cache and not event.name.startswith("client-"):
            self.rooms.remember(event.channel, data)

    def enter(self, name: Name, connection: Connection, person: Person) -> None:
        """A connection joins; it is told what it has to know. Raises Refused where there are too many."""
        if name.kind == "presence" and person.id is not None:
            try:
                self.presence.join(name.wire, connection, person.id, person.info)
            except Crowded:
                raise Refused(ErrorCode.TOO_MANY_SUBSCRIPTIONS, "There are as many in this channel as may be.") from None
        vacated = self._vacated.pop(name.wire, None)
        if vacated is not None:
            vacated.cancel()
        if self.rooms.enter(name.wire, connection):
            self._moved(name)
        connection.settle()
        members = self._known.get(name.wire, {}).values() if name.kind == "presence" else None
        connection.send(pusher.joined(name.wire, members))
        if name.cache:
            last = self.rooms.last(name.wire)
            connection.send(pusher.missed(name.wire) if last is None else last.data)
            if last is None:
                self.hook({"name": "cache_miss", "channel": name.wire})

    def leave(self, name: Name, connection: Connection, person: Person, *, lost: bool = False) -> None:
        """A connection is in a channel no more."""
        self.rooms.leave(name.wire, connection)
        if name.kind == "presence" and person.id is not None:
            self.presence.leave(name.wire, connection, person.id, lost=lost)
        self._moved(name)
        if not self.rooms.inside(name.wire) and name.wire not in self._vacated and name.kind != "user":
            loop = asyncio.get_running_loop()
            self._vacated[name.wire] = loop.call_later(GRACE, self._empty, name.wire)

    def sign_in(self, connection: Connection, person: Person) -> bool:
        """Somebody has said who it is; whether it watches as few as it may."""
        self._signed_in.enter(f"{USER}{person.id}", connection)
        if self._watchlists is None or person.id is None:
            return True
        few = len(person.watched) <= WATCHED
        self._watchlists.sign_in(connection, person.id, person.watched if few else ())
        return few

    def sign_out(self, connection: Connection, person: Person) -> None:
        """A connection that has signed in is lost."""
        self._signed_in.leave(f"{USER}{person.id}", connection)
        if self._watchlists is not None and person.id is not None:
            self._watchlists.sign_out(connection, person.id)

    def said(self, event: Event) -> None:
        """A client has said something."""
        self.publish(event)
        told = {"channel": event.channel, "event": event.name, "data": event.data, "socket_id": event.without}
        self.hook({"name": "client_event", **told} | ({} if event.user is None else {"user_id": event.user}))

    def users(self, name: str) -> list[str]:
        """Who is in a presence channel."""
        return [member.id for member in self.presence.members(name)]

    def count(self, channel: str) -> int:
        """How many connections are in a channel."""
        return len(self.rooms.inside(channel)) + self._counts.elsewhere(channel)

    def occupied(self) -> list[str]:
        """The channels that anybody is in, but for those of users."""
        return [name for name in dict.fromkeys([*self.rooms, *self._counts.channels()]) if not name.startswith(USER)]

    def terminate(self, user: str) -> Future[Any]:
        """Close the connections of a user that is signed in, whichever server has them."""
        return self.publish(Event(self.app.id, USER + user, TERMINATE, ""))

    def close(self) -> None:
        """The server ends."""
        self.presence.close()
        if self._watchlists is not None:
            self._watchlists.close()
        for timer in (*self._counting.values(), *self._vacated.values()):
            timer.cancel()
        self._counting.clear()
        self._vacated.clear()

    def _announce(self, channel: str, member: Member, here: bool) -> None:
        if here:
            told = pusher.event("pusher_internal:member_added", {"user_id": member.id, "user_info": member.info}, channel)
            self._known.setdefault(channel, {})[member.id] = pusher.known(member.id, member.info)
        else:
            told = pusher.event("pusher_internal:member_removed", {"user_id": member.id}, channel)
            del self._known[channel][member.id]
            if not self._known[channel]:
                del self._known[channel]
        self.rooms.say(channel, told)

    def _member_turned(self, turn: Turn) -> None:
        name = "member_removed" if turn.fact is None else "member_added"
        self.hook({"name": name, "channel": turn.key.channel, "user_id": turn.key.item})

    def _room_turned(self, turn: Turn) -> None:
        self.hook({"name": "channel_vacated" if turn.fact is None else "channel_occupied", "channel": turn.key.channel})

    def _empty(self, channel: str) -> None:
        del self._vacated[channel]
        self._counts.tell(channel, "", None)

    def _moved(self, name: Name) -> None:
        """There are more in a room, or fewer."""
        if name.kind != "user":
            self._counts.tell(name.wire, "", Fact(len(self.rooms.inside(name.wire))))
            self._count(name.wire, outside=self._company.knows)

    def _count(self, channel: str, *, outside: bool) -> None:
        """Have a room told how many are in it, soon: a crowd that comes is counted once."""
        if not self.app.subscription_count or channel.startswith("presence-"):
            return
        if not outside and not self.rooms.inside(channel):
            return
        if outside:
            self._counting_outside.add(channel)
        if channel not in self._counting:
            self._counting[channel] = asyncio.get_running_loop().call_later(COUNTING, self._counted, channel)

    def _counted(self, channel: str) -> None:
        del self._counting[channel]
        count = {"subscription_count": self.count(channel)}
        self.rooms.say(channel, pusher.event("pusher_internal:subscription_count", count, channel))
        if channel in self._counting_outside:
            self._counting_outside.discard(channel)
            self.hook({"name": "subscription_count", "channel": channel} | count)


class Desks:
    """The desks of one server. ``codec`` is what their clients speak before they have asked for anything."""

    def __init__(
        self, apps: Iterable[App], publish: Callable[..., Future[Any]], codec: Pusher, company: Company | None = None
    ) -> None:
        self.codec = codec
        self._by_id = {app.id: Desk(app, publish, company) for app in apps}
        self._by_key = {desk.app.key: desk for desk in self._by_id.values()}

    def of_key(self, key: str) -> Desk | None:
        """The desk of whoever comes with this key."""
        return self._by_key.get(key)

    def of_id(self, app: str) -> Desk | None:
        """The desk of the application with this id."""
        return self._by_id.get(app)

    def __iter__(self) -> Iterator[Desk]:
        return iter(self._by_id.values())

    def hear(self, event: Event) -> None:
        """The log says that something was said."""
        desk = self._by_id.get(event.app)
        if desk is not None:
            desk.hear(event)

    def missed(self) -> None:
        """Part of the log is lost, and perhaps something that was said in it: everybody is told to load anew."""
        for desk in self:
            desk.rooms.forget()
            for name in [each for each in desk.rooms if not each.startswith(USER)]:
                desk.rooms.say(name, pusher.event("reset", {"reason": str(ErrorCode.BEHIND)}, name))

    def close(self) -> None:
        """The server ends."""
        for desk in self:
            desk.close()
