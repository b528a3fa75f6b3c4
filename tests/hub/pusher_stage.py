"""A stage for conversations in Pusher's protocol: one application's desk, whose log is immediate, and clients of it."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from sqla_realtime.commit import Change, Commit, Entry, Event, Order, Position
from sqla_realtime.hub.company import Company
from sqla_realtime.hub.connection import Connection, several
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.hub.pusher import Desks
from sqla_realtime.hub.pusher_conversation import PusherConversation
from sqla_realtime.protocol import pusher_signatures
from sqla_realtime.protocol.pusher import Pusher
from tests.hub.stage import Stage

KEY, SECRET, ID = "app-key", "a secret of the application", "1"


@dataclass
class FakeApp:
    key: str = KEY
    secret: str = SECRET
    id: str = ID
    client_events: bool = True
    subscription_count: bool = False
    watchlists: bool = False
    webhook: str | None = None


class Mute(Connection):
    """A connection that is drained by its test."""

    def wake(self) -> None:
        pass


class PusherStage:
    """``tell`` commits a change; everything that is published is heard at once. On a ``log``, which is the list of the servers
    that share it, it is heard by all of them, in a moment."""

    def __init__(self, log: list[PusherStage] | None = None, **settings: bool) -> None:
        self.stage = Stage()
        self.offset = 0
        self.log = log
        self.company = Company(None if log is None else self.publish)
        codec = Pusher(lambda channel: channel.startswith("open"), lambda channel, cls: "alias/open1-open2")
        apps = [FakeApp(**settings), FakeApp("other-key", SECRET, "2")]
        self.desks = Desks(apps, self.publish, codec, self.company)
        self.stage.hub.obey = self._obey
        # What its applications were told.
        self.hooked: list[tuple[str, ...]] = []
        for desk in self.desks:
            desk.hook = lambda event: self.hooked.append(tuple(map(str, event.values())))
        if log is not None:
            log.append(self)
            self.company.open()

    def _obey(self, order: Order | Event | None) -> None:
        if isinstance(order, Event) and not self.company.hear(order):
            self.desks.hear(order)

    def publish(self, *events: Event) -> Future[Any]:
        done: Future[Any] = Future()
        if self.log is None:
            self._enter(events, [self], done)
        else:
            asyncio.get_running_loop().call_soon(self._enter, events, self.log, done)
        return done

    @staticmethod
    def _enter(events: tuple[Event, ...], log: list[PusherStage], done: Future[Any]) -> None:
        for stage in log:
            stage._dispatch(Commit((), events=events))
        done.set_result(None)

    def tell(self, channel: str, origin: str | None = None) -> None:
        self._dispatch(Commit((Change(channel, "create", "Row", "1", b'{"v":1}'),), origin=origin))

    def doubt(self, channel: str) -> None:
        self._dispatch(Commit((), frozenset({channel})))

    def _dispatch(self, commit: Commit) -> None:
        self.offset += 1
        self.stage.hub.dispatch(Entry(Position("e", self.offset), commit))

    def client(self, key: str = KEY) -> Caller:
        desk = self.desks.of_key(key)
        assert desk is not None
        connection = Mute(self.desks.codec, 1_000_000)
        conversation = PusherConversation(self.stage.house, connection, Handshake(), desk)
        conversation.begin()
        caller = Caller(conversation)
        [told] = caller.heard()
        assert told[0] == "pusher:connection_established"
        return caller


class Caller:
    """One client. What it hears is (event, channel, data), with the data read."""

    def __init__(self, conversation: PusherConversation) -> None:
        self.conversation = conversation
        self.connection = conversation.connection

    @property
    def code(self) -> int | None:
        return self.connection.close_code

    def heard(self) -> list[tuple[str, str | None, Any]]:
        lines = b"\n".join(several(self.connection.drain())).split(b"\n")
        messages = [json.loads(line) for line in lines if line]
        return [(each["event"], each.get("channel"), _read(each.get("data"))) for each in messages]

    def names(self) -> list[str]:
        return [name for name, _, _ in self.heard()]

    async def say(self, event: str, data: Any = None, **more: Any) -> None:
        self.conversation.receive(json.dumps({"event": event, "data": data, **more}))
        while self.conversation._task is not None:
            await self.conversation._task

    async def join(self, channel: str, user: str | None = None, *, secret: str = SECRET, **more: Any) -> None:
        """Join, with a signature where it takes one; ``socket`` is another connection's, ``expires`` is signed with it."""
        data: dict[str, str] = {"channel": channel}
        socket, signed = more.pop("socket", None), more
        if channel.startswith(("private-", "presence-")):
            member = None if user is None else json.dumps({"user_id": user, "user_info": {"name": user.title()}, **signed})
            text = pusher_signatures.admission(socket or self.connection.id, channel, member)
            data["auth"] = f"{KEY}:{pusher_signatures.sign(secret, text)}"
            if member is not None:
                data["channel_data"] = member
        await self.say("pusher:subscribe", data)

    async def sign_in(self, user: str, *, secret: str = SECRET, **more: Any) -> None:
        data = json.dumps({"id": user} | more)
        signature = pusher_signatures.sign(secret, pusher_signatures.user(self.connection.id, data))
        await self.say("pusher:signin", {"auth": f"{KEY}:{signature}", "user_data": data})


def _read(data: Any) -> Any:
    try:
        return json.loads(data) if isinstance(data, str) else data
    except ValueError:
        return data
