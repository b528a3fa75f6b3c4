"""Through Debian's nginx as it comes, which buffers: every transport is live, and still is after a long silence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.carriers import KINDS, EventsPeer, PollPeer
from tests.support.nginx import nginx
from tests.support.peer import Peer
from tests.support.scene import PAGES, Scene, live
from tests.support.web import request

Make = Callable[..., Scene]

# Longer than the 60 seconds after which nginx cuts whoever says nothing.
SILENCE = 75.0


class SourcePeer(EventsPeer):
    """A plain EventSource: a GET that names its channel, and nothing that it could say."""

    async def say(self, message: Any) -> None:
        if self._response is None:
            self._response = await request(self.port, f"/realtime/sse?channel={PAGES}")

    async def receive(self) -> str | None:
        assert self._response is not None
        assert self._response.status == 200
        return await super().receive()


ALL: dict[str, type[Peer]] = {**KINDS, "eventsource": SourcePeer}


@pytest.mark.parametrize("kind", ALL.values(), ids=ALL)
@live
async def test_it_is_live(scene: Make, tmp_path: Path, kind: type[Peer]) -> None:
    made = scene()
    with nginx(tmp_path, made.port) as port:
        async with kind(port) as peer:
            await joined(peer)
            for _ in range(5):
                made.write()
                await asyncio.wait_for(up_to_date(peer, made), 5)


@pytest.mark.beside
@pytest.mark.timeout(150)
def test_it_is_live_after_a_long_silence(scene: Make, tmp_path: Path) -> None:
    made = scene()

    async def all_of_them(port: int) -> None:
        silence = asyncio.Barrier(len(ALL) + 1)
        async with asyncio.TaskGroup() as group:
            for kind in ALL.values():
                group.create_task(outlast(kind, port, silence))
            await silence.wait()
            made.write()

    with nginx(tmp_path, made.port) as port:
        asyncio.run(all_of_them(port))


async def outlast(kind: type[Peer], port: int, silence: asyncio.Barrier) -> None:
    """Hear of nothing but that the server is alive, and then of the commit that comes after the silence."""
    loop = asyncio.get_running_loop()
    async with kind(port) as peer:
        await joined(peer)
        since = loop.time()
        while loop.time() - since < SILENCE:
            async with asyncio.timeout(35):
                text = await peer.receive()
            assert text is not None, f"cut after {loop.time() - since:.0f} s"
            peer.apply(json.loads(text))
            assert not peer.commits
        await silence.wait()
        await asyncio.wait_for(peer.until(lambda message: peer.commits), 5)


@live
async def test_where_a_stream_is_buffered_the_long_poll_is_live(scene: Make, tmp_path: Path) -> None:
    """A proxy that does not do as it is asked. It also shows that nginx as it comes would have buffered."""
    made = scene()
    with nginx(tmp_path, made.port, "proxy_ignore_headers X-Accel-Buffering;") as port:
        async with EventsPeer(port) as stream, PollPeer(port) as peer:
            hearing = asyncio.ensure_future(stream.say({"type": "hello"}))
            await joined(peer)
            for _ in range(5):
                made.write()
                await up_to_date(peer, made)
            assert not hearing.done(), "not even the head of the response has come through"
            hearing.cancel()


async def joined(peer: Peer) -> None:
    await peer.say({"type": "hello"})
    await peer.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
    while PAGES not in peer.rows:
        await peer.hear()


async def up_to_date(peer: Peer, made: Scene) -> None:
    while peer.rows[PAGES] != made.rows():
        await peer.hear()
