"""Two processes' worth of servers: a request reaches the one that it is for, and nobody who is not one of the family."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from sqla_realtime import Realtime
from sqla_realtime.transports import family as families
from sqla_realtime.transports import siblings
from sqla_realtime.transports.family import Family, can_share
from sqla_realtime.transports.siblings import Siblings
from tests.support.carriers import EventsPeer, PollPeer
from tests.support.databases import sqlite_engine
from tests.support.models import Base
from tests.support.peer import Peer
from tests.support.scene import PAGES, Scene, eventually, live
from tests.support.web import ask

pytestmark = pytest.mark.skipif(not can_share(), reason="there are no abstract sockets here")

Make = Callable[..., Scene]
PING = {"type": "ping"}
GONE = 404, "unknown-connection"


@pytest.fixture
def scenes(sqlite: Engine, realtime: Callable[..., Realtime], tmp_path: Path) -> Iterator[Make]:
    """Makes servers of one log, or with ``other=True`` of another one."""
    (tmp_path / "other").mkdir()
    elsewhere = sqlite_engine(tmp_path / "other")
    made: list[Scene] = []

    def make(*, other: bool = False, **settings: Any) -> Scene:
        engine = elsewhere if other else sqlite
        Base.metadata.create_all(engine)
        Realtime().metadata.create_all(engine)
        made.append(Scene(realtime(broker="database", **settings), engine, fill=False))
        made[-1].realtime.start()
        return made[-1]

    yield make
    for each in made:
        each.realtime.stop()
    elsewhere.dispose()


async def send(made: Scene, connection: str, via: object, *messages: dict[str, Any]) -> tuple[int, str | None]:
    body = json.dumps({"connection": connection, "via": via, "messages": messages})
    status, _, answer = await ask(made.port, "/realtime/send", body)
    return status, json.loads(answer)["code"] if answer else None


def having(made: Scene) -> Siblings:
    found = made.server._lobby.siblings
    assert found is not None
    return found


@live
async def test_a_command_that_reaches_another_process_is_passed_on(scenes: Make) -> None:
    here, there = scenes(), scenes()
    async with EventsPeer(there.port) as peer:
        via = (await peer.hello())["via"]
        subscribe = {"type": "subscribe", "id": 5, "channels": [PAGES]}
        for made in (here, there):
            assert await send(made, peer.connection, via, subscribe, PING) == (204, None)
            assert {(await peer.hear())["type"], (await peer.hear())["type"]} == {"pong", "subscribed"}
        # Without saying where, and of a stream that is not there.
        assert await send(here, peer.connection, None, PING) == GONE
        assert await send(here, "c-" + "x" * 16, via, PING) == GONE
        # As ever nothing of it is done where a part of it is wrong.
        assert await send(here, peer.connection, via, PING, {"type": "nonsense"}) == (400, "unknown-message")


@live
async def test_who_sends_no_commands_is_told_nothing_of_it(scenes: Make) -> None:
    made = scenes()
    async with Peer(made.port) as socket_peer, PollPeer(made.port) as poll:
        assert "via" not in await socket_peer.hello()
        await poll.hello()
        await poll.subscribe(PAGES)
        assert not [message for message in poll.log if "via" in message]


@live
async def test_nobody_is_reached_by_a_name_that_is_none(scenes: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = scenes(), scenes()
    reached: list[str] = []
    reach = Family.reach
    monkeypatch.setattr(Family, "reach", lambda family, via: (reached.append(via), reach(family, via))[1])
    async with EventsPeer(there.port) as peer:
        via = (await peer.hello())["via"]
        port, number = via.split(".")
        for wrong in (f"{port}.63", f"0{port}.{number}", f"{via}\n", f" {via}", f"../{via}", f"{via}/", "", ".", "1.1.1"):
            assert await send(here, peer.connection, wrong, PING) == GONE
        for wrong in (5, ["8765.0"], "é", "1" * 65):
            assert await send(here, peer.connection, wrong, PING) == (400, "invalid-field")
        assert reached == [f"{port}.63"]


@live
async def test_those_of_another_log_are_no_siblings(scenes: Make) -> None:
    here, stranger = scenes(), scenes(other=True)
    async with EventsPeer(stranger.port) as peer:
        via = (await peer.hello())["via"]
        assert await send(here, peer.connection, via, PING) == GONE
        assert await send(stranger, peer.connection, via, PING) == (204, None)


@live
async def test_a_process_that_has_stopped_is_no_longer_there(scenes: Make) -> None:
    here, there = scenes(), scenes()
    async with EventsPeer(there.port) as peer:
        via = (await peer.hello())["via"]
        await asyncio.to_thread(there.realtime.stop)
        assert await send(here, peer.connection, via, PING) == GONE
    there.realtime.start()
    async with EventsPeer(there.port) as peer:
        assert await send(here, peer.connection, (await peer.hello())["via"], PING) == (204, None)


@live
async def test_another_users_process_is_told_nothing_and_not_believed(scenes: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who it is is what the kernel says; here the servers take themselves for somebody else."""
    here, there = scenes(), scenes()
    async with EventsPeer(there.port) as peer:
        via = (await peer.hello())["via"]
        family = here.realtime._family()
        assert family is not None
        listening = family.settle(1)
        assert listening is not None
        user = os.geteuid()
        with listening.socket:
            monkeypatch.setattr(families.os, "geteuid", lambda: user + 1)
            assert await send(here, peer.connection, listening.via, PING) == GONE
            took, _ = listening.socket.accept()
            with took:
                assert took.recv(100) == b"", "something was said to it"
            stream = socket.socket(socket.AF_UNIX)
            stream.connect(having(here)._family._name + via)
            assert await asyncio.to_thread(said_to, stream) == b"", "it was made welcome"


def said_to(stream: socket.socket, data: bytes = b"", *sockets: socket.socket) -> bytes:
    """What a door says to whoever comes with these."""
    with stream:
        stream.settimeout(20)
        heard = b""
        with suppress(ConnectionError):
            heard = stream.recv(1)
            if data:
                socket.send_fds(stream, [data], [each.fileno() for each in sockets])
            stream.shutdown(socket.SHUT_WR)
            heard += stream.recv(100)
        return heard


@live
async def test_what_is_no_request_is_no_matter(scenes: Make) -> None:
    here, there = scenes(), scenes()
    most, (mine, given) = having(there)._largest, socket.socketpair()
    request = b"GET /realtime/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    size = len(request).to_bytes(4)
    async with EventsPeer(there.port) as peer:
        via = (await peer.hello())["via"]
        with mine, given:
            for data, sockets in [
                (b"", []),
                (size + request, []),
                (size[:3], [given]),
                (size + request[:-1], [given]),
                ((most + 1).to_bytes(4) + request, [given]),
            ]:
                stream = having(here)._family.reach(via)
                assert await asyncio.to_thread(said_to, stream, data, *sockets) == b"w"
                with pytest.raises(BlockingIOError):
                    mine.recv(1, socket.MSG_DONTWAIT)
            given.close()
            assert mine.recv(1) == b"", "somebody has kept it"
        assert await send(here, peer.connection, via, PING) == (204, None)
        await eventually(lambda: not having(there)._coming and having(here)._going == 0)


@live
async def test_a_process_that_does_not_answer_is_not_waited_for(scenes: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "PATIENCE", 0.05)
    here = scenes()
    family = here.realtime._family()
    assert family is not None
    stopped = family.settle(1)
    assert stopped is not None
    with stopped.socket:
        assert await send(here, "c-" + "x" * 16, stopped.via, PING) == GONE
        # What would overtax both is refused.
        monkeypatch.setattr(having(here), "_going", siblings.MOST)
        assert await send(here, "c-" + "x" * 16, stopped.via, PING) == (503, "too-busy")


@live
async def test_no_more_come_in_than_there_is_room_for(scenes: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = scenes(), scenes()
    async with EventsPeer(there.port) as peer:
        via = (await peer.hello())["via"]
        monkeypatch.setattr(siblings, "MOST", 1)
        with having(here)._family.reach(via):
            await eventually(lambda: len(having(there)._coming) == 1)
            assert await send(here, peer.connection, via, PING) == GONE
        await eventually(lambda: not having(there)._coming)
        assert await send(here, peer.connection, via, PING) == (204, None)


@live
async def test_a_place_is_had_until_it_is_left_and_not_by_a_forked_child() -> None:
    kin = Family(f"nobody's {os.getpid()}")
    door = kin.settle(1)
    assert door is not None
    having = Siblings(kin, door, 100)
    leave = having.claim("s/1")
    having.claim("s/1")()  # it is had already, and stays so
    kin.reach("s/1").close()
    leave()
    leave()
    with pytest.raises(OSError, match="refused"):
        kin.reach("s/1")
    having.claim("s/1")
    having.abandon()
    for place in ("s/1", door.via):
        with pytest.raises(OSError, match="refused"):
            kin.reach(place)
