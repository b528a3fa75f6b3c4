"""A conversation on an HTTP response: readers that stop are cut by the bytes that wait, and nothing of a client stays."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable

import pytest

from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.transports.stream import StreamHandler
from tests.support.scene import PAGES, Scene, eventually, live
from tests.support.web import request
from tests.support.wire import Wire

Make = Callable[..., Scene]
BODY = json.dumps([{"type": "hello"}, {"type": "subscribe", "id": 1, "channels": [PAGES]}]).encode()
POST = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
OPENINGS = {
    "POST /sse": POST % (b"/realtime/sse", len(BODY), BODY),
    "GET /sse": b"GET /realtime/sse?channel=projects/1/pages HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("opening", OPENINGS)
@live
async def test_a_reader_that_stopped_is_cut_and_the_others_live(scene: Make, opening: str) -> None:
    made = scene(queue_bytes=64 * 1024)
    async with made.canary() as bird:
        with Wire(made.port, receive_buffer=4096) as stuck:
            stuck.send(OPENINGS[opening])
            await eventually(lambda: sum(PAGES in each.channels for each in made.connections) == 2)
            # More than the buffers of both sockets and the queue hold, with the canary keeping up.
            for _ in range(200):
                made.write(50_000)
                await bird.until(lambda message: "commit" in message)
                assert all(each.pending <= 64 * 1024 + 51_000 for each in made.connections)
            assert len(made.connections) == 1
            assert len(made.server.hub._live[PAGES]) == 1
            assert len(stuck.rest()) < 200 * 50_000


@pytest.mark.parametrize("path", ["/realtime/sse", "/realtime/poll"])
@live
async def test_an_answer_that_nobody_takes_is_given_up(scene: Make, path: str) -> None:
    """There is no more to come that would overflow the queue, and no pong to miss."""
    made = scene(ping_interval=1.0, queue_bytes=50_000_000)
    for _ in range(300):
        made.write(50_000)
    async with made.canary():
        with Wire(made.port, receive_buffer=4096) as stuck:
            stuck.send(POST % (path.encode(), len(BODY), BODY))
            await eventually(lambda: len(made.connections) == 2)
            await eventually(lambda: len(made.connections) == 1)
            assert len(stuck.rest()) < 300 * 50_000


@pytest.mark.parametrize("opening", OPENINGS)
@live
async def test_what_comes_after_the_request_is_not_collected(scene: Make, opening: str) -> None:
    made = scene()
    async with made.canary():
        with Wire(made.port) as wire:
            wire.send(OPENINGS[opening])
            await eventually(lambda: len(made.connections) == 2)
            stream = next(reversed(made.server._lobby._streams.values()))
            wire.socket.settimeout(0.3)
            with pytest.raises((TimeoutError, ConnectionError)):
                wire.send(b"x" * 2**27)
            assert stream._read_buffer_size <= 2**20
        made.write()


@live
async def test_many_streams_leave_nothing_behind(scene: Make) -> None:
    made = scene()
    # What other tests in this process have left behind is not ours.
    kinds = (Connection, Conversation, StreamHandler)
    connections, conversations, handlers = (alive(kind) for kind in kinds)
    allowed = (connections + 1, conversations + 1, handlers)
    async with made.canary():
        for _ in range(20):
            for path in ("/realtime/sse", "/realtime/poll"):
                response = await request(made.port, path, BODY)
                await response.piece()
                await response.close()
        await eventually(lambda: len(made.connections) == 1)
        assert not made.server._lobby._reachable
        await eventually(lambda: len(made.server.hub._live[PAGES]) == 1)
        await eventually(lambda: all(alive(kind) <= most for kind, most in zip(kinds, allowed, strict=True)))


def alive(kind: type) -> int:
    """How many objects of a class there are in this process."""
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


@live
async def test_whoever_hangs_up_within_the_request_was_never_here(scene: Make) -> None:
    made = scene()
    async with made.canary():
        for path in ("/realtime/sse", "/realtime/poll", "/realtime/send"):
            data = POST % (path.encode(), len(BODY), BODY)
            for size in (10, data.index(b"\r\n\r\n") + 4, len(data) - 1):
                wire = Wire(made.port)
                wire.send(data[:size])
                wire.socket.close()
            made.write()
        assert len(made.connections) == 1


@live
async def test_whoever_hangs_up_with_the_request_is_not_waited_for(scene: Make) -> None:
    made = scene()
    async with made.canary():
        for _ in range(30):
            for data in (*OPENINGS.values(), POST % (b"/realtime/poll", len(BODY), BODY)):
                wire = Wire(made.port)
                wire.send(data)
                wire.socket.close()
        await asyncio.sleep(0)
        await eventually(lambda: len(made.connections) == 1)
