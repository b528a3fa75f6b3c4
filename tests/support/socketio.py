"""A raw client of Socket.IO 0.8 as Juggernaut's is one, over a WebSocket and by polls, and a site with names for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker
from websockets.asyncio.client import ClientConnection, connect

from sqla_realtime import Identity, Realtime, anyone, signed_in
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.protocol.juggernaut import packets
from sqla_realtime.server.broadcaster import Broadcaster
from sqla_realtime.transports.mailbox import Mailbox
from tests.support.models import Account, AccountOut, Page, PageOut, Project
from tests.support.scene import eventually
from tests.support.web import ask

PATIENCE = 20.0
OBSERVER = "/observer"
NO_SESSION = "7:::1+0"
UNAUTHORIZED = "7:::2"


class Site:
    """Pages that anybody may see under the guide's channel, and by their project; accounts for who signs in."""

    def __init__(self, realtime: Realtime, engine: Engine) -> None:
        self.realtime = realtime
        self.sessions: sessionmaker[Session] = sessionmaker(engine)
        realtime.publish(Page, schema=PageOut, channel="pages", join=anyone, alias=OBSERVER)
        realtime.publish(Page, schema=PageOut, channel="projects/{project_id}", join=anyone, alias="/projects/{project_id}")
        realtime.publish(Account, schema=AccountOut, channel="accounts", join=signed_in, alias="/accounts")
        realtime.publish(Account, schema=AccountOut, channel="hidden", join=anyone)
        self.allow: Callable[[], bool] = lambda: True
        realtime.publish(Page, schema=PageOut, channel="club", join=lambda user: self.allow(), alias="/club")
        realtime.configure({}, session_cookie=_member)
        realtime.enable(self.sessions)
        realtime.metadata.create_all(engine)
        with self.sessions.begin() as session:
            session.merge(Project(id=1))
        realtime.start()

    @property
    def port(self) -> int:
        return self.realtime.port

    @property
    def server(self) -> Broadcaster:
        runner = self.realtime._runner
        assert runner is not None
        assert runner._broadcaster is not None
        return runner._broadcaster

    @property
    def polled(self) -> list[Connection]:
        """The server's ends of the polls that are waiting."""
        found = [conversation.connection for conversation in list(self.server._lobby.conversations)]
        return [each for each in found if isinstance(each, Mailbox) and each.polled]

    async def joined(self, session: str, *channels: str) -> None:
        """Wait until a session is in these channels, by our names."""

        def there() -> bool:
            found = [each.connection for each in list(self.server._lobby.conversations)]
            return any(each.id == session and each.channels >= set(channels) for each in found)

        await eventually(there)

    def write(self, *titles: str, origin: str | None = None) -> None:
        with self.realtime.origin(origin), self.sessions.begin() as session:
            session.add_all(Page(project_id=1, title=title) for title in titles)

    def rename(self, old: str, new: str) -> None:
        with self.sessions.begin() as session:
            session.query(Page).filter_by(title=old).one().title = new

    def remove(self, title: str) -> None:
        with self.sessions.begin() as session:
            session.delete(session.query(Page).filter_by(title=title).one())

    def doubt(self) -> None:
        """Commit what can't be told row by row."""
        with self.sessions.begin() as session:
            session.execute(text("UPDATE page SET size = size + 1"))


def _member(handshake: Handshake) -> Identity | None:
    return Identity("7", {}) if "member=7" in handshake.headers.get("cookie", "") else None


def subscribe(channel: str = OBSERVER) -> str:
    return "3:::" + json.dumps({"type": "subscribe", "channel": channel})


def unsubscribe(channel: str = OBSERVER) -> str:
    return "3:::" + json.dumps({"type": "unsubscribe", "channel": channel})


def words(packet: str) -> str:
    """A packet in few words: type, class and title of what it tells, or itself."""
    if not packet.startswith("3:::"):
        return packet
    data = json.loads(packet[4:])["data"]
    return f"{data['type']} {data['record'].get('title', data['id'])}"


async def handshake(port: int, **headers: str | None) -> str:
    """A new session."""
    status, _, body = await ask(port, "/socket.io/1/?t=1", **headers)
    assert status == 200
    return body.decode().split(":")[0]


class Peer:
    """One session over a WebSocket."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self.socket = socket
        self.session = session

    async def say(self, *packets: str) -> None:
        for packet in packets:
            await self.socket.send(packet)

    async def hear(self, count: int = 1) -> list[str]:
        """The next packets, in words."""
        async with asyncio.timeout(PATIENCE):
            return [words(str(await self.socket.recv())) for _ in range(count)]


@asynccontextmanager
async def peer(port: int, *channels: str, **options: Any) -> AsyncIterator[Peer]:
    """A session that is connected and has asked for these channels."""
    session = await handshake(port)
    async with connect(f"ws://127.0.0.1:{port}/socket.io/1/websocket/{session}", **options) as socket:
        made = Peer(socket, session)
        assert await made.hear() == ["1::"]
        await made.say(*map(subscribe, channels))
        yield made


class Poller:
    """One session by polls."""

    def __init__(self, port: int, session: str, transport: str = "xhr-polling") -> None:
        self.port = port
        self.session = session
        self.path = f"/socket.io/1/{transport}/{session}"

    async def say(self, body: str) -> str:
        status, _, answer = await ask(self.port, self.path, body)
        assert status == 200
        return answer.decode()

    async def poll(self, **headers: str | None) -> list[str]:
        """What the next answer brings, in words."""
        async with asyncio.timeout(PATIENCE):
            status, fields, answer = await ask(self.port, self.path, **headers)
        assert (status, fields["cache-control"], "etag" in fields) == (200, "no-store", False)
        return list(map(words, packets(answer.decode())))


async def poller(port: int, *channels: str, **headers: str | None) -> Poller:
    """A session that is connected by polls and has asked for these channels."""
    made = Poller(port, await handshake(port))
    assert await made.poll(**headers) == ["1::"]
    for channel in channels:
        assert await made.say(subscribe(channel)) == "1"
    return made
