"""What a client says reaches those who are there on every server that shares the log, once, and nobody later; and those who are
there are known to all of them."""

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


async def sees(peer: Peer, *users: str) -> None:
    """Wait until these are who is there, as far as a client was told."""
    while sorted(who(peer)) != sorted(users):
        await peer.hear()


def who(peer: Peer) -> set[str]:
    there: set[str] = set()
    for message in peer.log:
        match message["type"]:
            case "members":
                there = {member["id"] for member in message["members"]}
            case "joined":
                there.add(message["member"]["id"])
            case "left":
                there.remove(message["member"])
    return there


def test_members_are_those_of_both(ports: list[int]) -> None:
    async def scene() -> None:
        async with Peer(ports[0]) as ann, Peer(ports[1]) as bob, Peer(ports[0]) as tab:
            for peer, user in ((ann, "1"), (bob, "2")):
                await come(peer, user)
            await sees(ann, "1", "2")  # before there is one at ann's server, who would be seen there without the other
            await come(tab, "2")
            for peer in (bob, tab):
                await sees(peer, "1", "2")
            for number, peer in enumerate((bob, tab), 30):
                await ask(peer, {"type": "depart", "id": number, "channel": ROOM})
            await sees(ann, "1")
            async with Peer(ports[1]) as cid:
                await come(cid, "3")
                for peer in (ann, cid):
                    await sees(peer, "1", "3")
            turns = [message["type"] for message in ann.log if message["type"] in ("joined", "left")]
            assert turns == ["joined", "left", "joined"], "a user with two tabs comes and goes once"
            assert ann.log[-1]["tag"] == next(message["tag"] for message in reversed(cid.log) if "tag" in message)

    asyncio.run(scene())
