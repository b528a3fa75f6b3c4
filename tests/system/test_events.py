"""Who is there and what they say is known on every server that shares the log: once, and what was said to nobody later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from sqla_realtime import Realtime
from tests.support.databases import new_engine
from tests.support.peer import Peer
from tests.support.processes import Process
from tests.support.scene import PAGES, SECRET
from tests.support.shared_app import prepare

ROOM = "rooms/5"


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with the tables of the models and of the log."""
    with new_engine(request.param, tmp_path) as engine:
        yield prepare(engine)


@pytest.fixture
def ports(shared: Engine) -> Iterator[list[int]]:
    """Those of two processes that share the log."""
    url = shared.url.render_as_string(hide_password=False)
    with ExitStack() as stack:
        command = ("tests.support.shared_app", url, "serve")
        servers = [stack.enter_context(Process(*command, REALTIME_SECRET=SECRET)) for _ in range(2)]
        yield [int(server.printed("^port ").split()[1]) for server in servers]


async def come(peer: Peer, user: str) -> None:
    await peer.hello(Realtime(secret=SECRET).token(user))
    await peer.subscribe(PAGES)
    await ask(peer, {"type": "attend", "id": 7, "channel": ROOM})


async def ask(peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
    await peer.say(message)
    return await peer.until(lambda heard: heard.get("id") == message["id"])


def say(number: int, on: object, name: str = "typing") -> dict[str, Any]:
    return {"type": "say", "id": number, "channel": ROOM, "name": name, "data": {"on": on}}


def test_who_is_on_one_server_is_seen_on_the_other(ports: list[int]) -> None:
    async def scene() -> None:
        async with Peer(ports[0]) as bob, Peer(ports[1]) as ann:
            await come(bob, "2")
            await come(ann, "1")
            for peer, other in ((bob, "1"), (ann, "2")):
                while other not in there(peer):
                    await peer.hear()
            async with Peer(ports[1]) as tab:  # one more of somebody who is there already
                await come(tab, "2")
                assert {"1", "2"} == there(tab)
            await ask(ann, {"type": "depart", "id": 8, "channel": ROOM})
            while "1" in there(bob):
                await bob.hear()
            assert told(bob) == [("joined", "1"), ("left", "1")]

    asyncio.run(scene())


def there(peer: Peer) -> set[str]:
    """Who is there, by all that a peer has heard."""
    found: set[str] = set()
    for message in peer.log:
        if message.get("type") == "members":
            found = {member["id"] for member in message["members"]}
    for kind, user in told(peer):
        (found.add if kind == "joined" else found.discard)(user)
    return found


def told(peer: Peer) -> list[tuple[str, str]]:
    """Who has come and gone."""
    changes = [message for message in peer.log if message.get("type") in ("joined", "left")]
    return [(each["type"], each["member"]["id"] if each["type"] == "joined" else each["member"]) for each in changes]


def test_what_is_said_on_one_server_is_heard_on_the_other(ports: list[int]) -> None:
    async def scene() -> None:
        async with Peer(ports[0]) as bob, Peer(ports[1]) as tab, Peer(ports[1]) as ann, Peer(ports[1]) as reader:
            for peer, user in ((bob, "2"), (tab, "2"), (ann, "1")):
                await come(peer, user)
            await reader.hello()
            before = (await reader.subscribe(PAGES))["position"]
            for number, on in enumerate((True, "perhaps", False), 20):
                assert (await ask(bob, say(number, on))).get("code") == (None if isinstance(on, bool) else "invalid-event")
            for peer in (ann, tab):
                await peer.until(lambda heard: heard.get("type") == "event" and not heard["data"]["on"])
                events = [message for message in peer.log if message.get("type") == "event"]
                assert [(event["from"], event["data"]) for event in events] == [("2", {"on": True}), ("2", {"on": False})]
            # Neither comes to who was not there, whatever it resumes from; nor to who said it.
            async with Peer(ports[1]) as late:
                await late.hello(Realtime(secret=SECRET).token("3"))
                await late.subscribe(PAGES, after=before)
                await ask(late, {"type": "attend", "id": 7, "channel": ROOM})
                await ask(ann, say(30, True))
                assert (await late.until(lambda heard: heard.get("type") == "event"))["from"] == "1"
                assert sum(message.get("type") == "event" for message in late.log) == 1
            await bob.until(lambda heard: heard.get("type") == "event")
            assert [message["from"] for message in bob.log if message.get("type") == "event"] == ["1"]
            assert {message["type"] for message in reader.log} == {"hello", "subscribed"}

    asyncio.run(scene())
