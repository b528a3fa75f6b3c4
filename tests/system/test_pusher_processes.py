"""Several processes on one log and one port: whichever is asked, members and counts are those of all; whoever is killed or
replaced, each thing that happens is told once, to clients and to the application."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

import pusher
import pytest
from sqlalchemy import Engine

from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.transports.family import can_share
from tests.support.databases import postgres_engine
from tests.support.processes import Process, free_ports
from tests.support.pusher_peer import PusherPeer
from tests.support.pusher_told import Told
from tests.support.scene import PAGES, live
from tests.support.shared_app import prepare
from tests.transports.pusher.test_socket import APP

pytestmark = pytest.mark.skipif(not can_share(), reason="no port can be shared here")

ROOM, NEWS = "presence-room", PAGES.replace("/", ",")
# Long enough for a busy machine, and as long as the test of a killed process takes.
LEASE = 3.0
# So many requests, each of which reaches either process.
ASKED = 12
ADDED, REMOVED = "pusher_internal:member_added", "pusher_internal:member_removed"


@pytest.fixture
def engine() -> Iterator[Engine]:
    with postgres_engine() as engine:
        yield prepare(engine)


class Servers:
    """Two processes on one port; the first one runs."""

    def __init__(self, stack: ExitStack, engine: Engine, hook: str) -> None:
        [self.port] = free_ports(1)
        command = ("sqla_realtime", "serve", "--app", "tests.support.wsgi_app", "--port", str(self.port))
        environment = {
            "SHARED_URL": engine.url.render_as_string(hide_password=False),
            "REALTIME_PORT": str(self.port),
            "REALTIME_PUSHER": json.dumps([{**APP, "webhook": hook}]),
            "REALTIME_PRESENCE_LEASE": str(LEASE),
        }
        self.first, self.second = (Process(*command, **environment) for _ in range(2))
        for each in (self.first, self.second):
            stack.callback(each.stop, signal.SIGKILL)
        self.start(self.first)

    def start(self, process: Process) -> None:
        process.start()
        process.printed("^Listening")

    async def say(self, *wanted: Any) -> None:
        """Either process answers this, as soon as it has heard of all that the other one has."""
        async with asyncio.timeout(20):
            while (answers := await asyncio.to_thread(self._ask)) != [wanted] * ASKED:
                assert all(len(answer[0]) <= len(wanted[0]) for answer in answers), answers

    def _ask(self) -> list[tuple[Any, ...]]:
        answers = []
        for _ in range(ASKED):
            library = pusher.Pusher(APP["id"], APP["key"], APP["secret"], ssl=False, host="127.0.0.1", port=self.port)
            users = sorted(user["id"] for user in library.users_info(ROOM)["users"])
            number = library.channels_info("presence-", ["user_count"])["channels"][ROOM]["user_count"]
            news = library.channel_info(NEWS, ["subscription_count"])
            answers.append((users, number, sorted(library.channels_info()["channels"]), news))
        return answers

    @asynccontextmanager
    async def at(self, process: Process, user: str) -> AsyncIterator[PusherPeer]:
        """A client that has come to this process: nobody knows which it will be, so it is tried until it is."""
        async with AsyncExitStack() as stack:
            while True:
                peer = await stack.enter_async_context(PusherPeer(self.port, APP, user))
                if await asyncio.to_thread(peer.is_at, process.pid):
                    yield peer
                    return


@pytest.fixture
def told() -> Iterator[Told]:
    with Told() as told:
        yield told


@pytest.fixture
def servers(engine: Engine, told: Told) -> Iterator[Servers]:
    with ExitStack() as stack:
        servers = Servers(stack, engine, told.url)
        yield servers
        for each in (servers.first, servers.second):
            assert "Traceback" not in each.output


async def happened(told: Told, last: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What the application was told, up to something."""
    found: list[tuple[str, ...]] = []
    while last not in found:
        events = (await told.next())["events"]
        found += [tuple(event[name] for name in ("name", "channel", "user_id") if name in event) for event in events]
    return found


def went(peer: PusherPeer) -> list[str]:
    """Who has left, as far as a client has heard."""
    return [data["user_id"] for event, _, data in peer.heard if event == REMOVED]


@live
async def test_members_and_counts_are_those_of_all_processes(servers: Servers, told: Told) -> None:
    first, second = servers.first, servers.second
    both = [ROOM, NEWS]
    async with AsyncExitStack() as stack:

        async def at(process: Process, user: str) -> PusherPeer:
            return await stack.enter_async_context(servers.at(process, user))

        ann, cid = await at(first, "ann"), await at(first, "cid")
        for channel in both:
            await ann.join(channel)
        await asyncio.to_thread(servers.start, second)
        bob = await at(second, "bob")
        for channel in both:
            await bob.join(channel)
        await ann.until(ADDED, user_id="bob")
        await cid.join(ROOM)
        await servers.say(["ann", "bob", "cid"], 3, both, {"occupied": True, "subscription_count": 2})

        await asyncio.to_thread(first.stop, signal.SIGKILL)
        await ann.gone()
        ann = await at(second, "ann")
        assert set((await ann.join(ROOM))["presence"]["ids"]) == {"ann", "bob", "cid"}
        await bob.until(REMOVED)
        assert went(bob) == ["cid"], "who was back at once has not left"
        await servers.say(["ann", "bob"], 2, both, {"occupied": True, "subscription_count": 1})

        await asyncio.to_thread(servers.start, first)
        dan = await at(first, "dan")
        await dan.join(ROOM)
        await servers.say(["ann", "bob", "dan"], 3, both, {"occupied": True, "subscription_count": 1})

        ending = asyncio.create_task(asyncio.to_thread(second.stop, signal.SIGTERM))
        assert await bob.gone() == PusherCode.RESTARTING
        bob = await at(first, "bob")
        for channel in both:
            await bob.join(channel)
        assert await ann.gone() == PusherCode.RESTARTING
        await ending
        await dan.until(REMOVED)
        assert (went(dan), went(bob)) == (["ann"], [])
        await servers.say(["bob", "dan"], 2, both, {"occupied": True, "subscription_count": 1})
        await dan.say("pusher:unsubscribe", channel=ROOM)
        await bob.until(REMOVED, user_id="dan")
    events = await happened(told, ("member_removed", ROOM, "dan"))
    assert sorted(events) == sorted(
        [("channel_occupied", channel) for channel in both]
        + [("member_added", ROOM, user) for user in ("ann", "bob", "cid", "dan")]
        + [("member_removed", ROOM, user) for user in ("cid", "ann", "dan")]
    )
