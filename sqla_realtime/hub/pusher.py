"""The desk of one application of Pusher's protocol: its rooms and members, who is signed in, and what is said to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from sqla_realtime.commit import Event
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.presence import GRACE, Crowded, Member, Presence
from sqla_realtime.hub.rooms import Rooms
from sqla_realtime.protocol import pusher
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.pusher import Pusher
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.protocol.pusher_names import MAX_USER, USER, Name, parse

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
    def webhook(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an application's signature speaks of: ``id`` is None where it does not say. ``expires`` is the end of what it was
    signed for, in seconds since the epoch, None where it has none."""

    id: str | None = None
    info: Any = None
    expires: float | None = None


class Desk:
    """Loop thread only. ``publish`` has events in the log, from where every server's desk hears it."""

    def __init__(self, app: App, publish: Callable[..., Future[Any]], presence: Callable[..., Presence] = Presence) -> None:
        self.app = app
        self.publish = publish
        self.rooms = Rooms()
        self.presence = presence(self._announce)
        self._counting: dict[str, asyncio.TimerHandle] = {}
        # Is told what an application may want to know, as its webhooks have it.
        self.hook: Callable[[dict[str, Any]], None] = lambda event: None
        # Rooms that are empty, and perhaps not for long.
        self._vacated: dict[str, asyncio.TimerHandle] = {}

    def hear(self, event: Event) -> None:
        """Something was said in a channel of this application, by whatever server's client or publisher."""
        name = parse(event.channel)
        if event.name == TERMINATE:
            for connection in list(self.rooms.inside(event.channel)):
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
        elif not self.rooms.inside(name.wire) and name.kind != "user":
            self.hook({"name": "channel_occupied", "channel": name.wire})
        new = self.rooms.enter(name.wire, connection)
        connection.settle()
        connection.send(pusher.joined(name.wire, self._roster(name)))
        if name.cache:
            last = self.rooms.last(name.wire)
            connection.send(last or pusher.missed(name.wire))
            if last is None:
                self.hook({"name": "cache_miss", "channel": name.wire})
        if new:
            self._count(name)

    def leave(self, name: Name, connection: Connection, person: Person, *, lost: bool = False) -> None:
        """A connection is in a channel no more."""
        self.rooms.leave(name.wire, connection)
        if name.kind == "presence" and person.id is not None:
            self.presence.leave(name.wire, connection, person.id, lost=lost)
        self._count(name)
        if not self.rooms.inside(name.wire) and name.wire not in self._vacated and name.kind != "user":
            loop = asyncio.get_running_loop()
            self._vacated[name.wire] = loop.call_later(GRACE, self._empty, name.wire)

    def said(self, event: Event) -> None:
        """A client has said something."""
        self.publish(event)
        told = {"channel": event.channel, "event": event.name, "data": event.data, "socket_id": event.without}
        self.hook({"name": "client_event", **told} | ({} if event.user is None else {"user_id": event.user}))

    def users(self, name: str) -> list[str]:
        """Who is in a presence channel."""
        return [member.id for member in self.presence.members(name)]

    def terminate(self, user: str) -> Future[Any]:
        """Close the connections of a user that is signed in, whichever server has them."""
        return self.publish(Event(self.app.id, USER + user, TERMINATE, ""))

    def close(self) -> None:
        """The server ends."""
        self.presence.close()
        for timer in (*self._counting.values(), *self._vacated.values()):
            timer.cancel()
        self._counting.clear()
        self._vacated.clear()

    def _roster(self, name: Name) -> dict[str, Any] | None:
        if name.kind != "presence":
            return None
        known = {member.id: member.info for member in self.presence.members(name.wire)}
        return {"presence": {"count": len(known), "ids": list(known), "hash": known}}

    def _announce(self, channel: str, member: Member, here: bool) -> None:
        if here:
            told = pusher.event("pusher_internal:member_added", {"user_id": member.id, "user_info": member.info}, channel)
        else:
            told = pusher.event("pusher_internal:member_removed", {"user_id": member.id}, channel)
        self.rooms.say(channel, told)
        self.hook({"name": "member_added" if here else "member_removed", "channel": channel, "user_id": member.id})

    def _empty(self, channel: str) -> None:
        del self._vacated[channel]
        self.hook({"name": "channel_vacated", "channel": channel})

    def _count(self, name: Name) -> None:
        """Have a room told how many are in it, soon: a crowd that comes is counted once."""
        if not self.app.subscription_count or name.kind in ("presence", "user") or name.wire in self._counting:
            return
        self._counting[name.wire] = asyncio.get_running_loop().call_later(COUNTING, self._counted, name.wire)

    def _counted(self, channel: str) -> None:
        del self._counting[channel]
        count = {"subscription_count": len(self.rooms.inside(channel))}
        self.rooms.say(channel, pusher.event("pusher_internal:subscription_count", count, channel))
        self.hook({"name": "subscription_count", "channel": channel} | count)


class Desks:
    """The desks of one server. ``codec`` is what their clients speak before they have asked for anything."""

    def __init__(self, apps: Iterable[App], publish: Callable[..., Future[Any]], codec: Pusher) -> None:
        self.codec = codec
        self._by_id = {app.id: Desk(app, publish) for app in apps}
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
            for name in [each for each in desk.rooms if not each.startswith(USER)]:
                desk.rooms.say(name, pusher.event("reset", {"reason": str(ErrorCode.BEHIND)}, name))

    def close(self) -> None:
        """The server ends."""
        for desk in self:
            desk.close()


def person_in(data: str, key: str) -> Person:
    """Whom signed data speaks of. Raises ValueError where it is none."""
    try:
        fields = json.loads(data)
    except RecursionError as error:
        raise ValueError(key) from error
    user = fields.get(key) if isinstance(fields, Mapping) else None
    if isinstance(user, int) and not isinstance(user, bool):
        user = str(user)  # as libraries in some languages have it
    if not isinstance(user, str) or not 0 < len(user) <= MAX_USER or not user.isprintable():
        raise ValueError(key)
    expires = fields.get("expires")
    if not isinstance(expires, int | float | None) or isinstance(expires, bool):
        raise ValueError(key)
    return Person(user, fields.get("user_info"), expires)
