"""Webhooks: signed so that Pusher's own library takes them, sent again until they are taken, and bounded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator

import pytest
from websockets.asyncio.client import connect

from sqla_realtime import anyone
from sqla_realtime.hub.tally import Tally
from sqla_realtime.transports.pusher import webhooks
from sqla_realtime.transports.pusher.webhooks import WAITING, Webhooks
from tests.hub.pusher_stage import PusherStage
from tests.support.node_pusher import Node
from tests.support.pusher_told import Told
from tests.support.scene import Scene, live
from tests.transports.pusher.test_socket import APP

Make = Callable[..., Scene]


@pytest.fixture
def told() -> Iterator[Told]:
    with Told() as told:
        yield told


@live
async def test_an_application_is_told_who_comes_until_it_takes_it(
    scene: Make, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "FIRST", 0.01)
    told.statuses += [500, 302]
    made = scene(pusher=[APP | {"webhook": told.url}])
    made.realtime.channel("news")(anyone)
    async with connect(f"ws://127.0.0.1:{made.port}/app/app-key?protocol=7") as socket:
        await socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "cache-news"}}))
        for _ in range(3):
            first = await told.next()
            assert abs(first["time_ms"] / 1000 - time.time()) < 60
            events = first["events"]
            assert events[0] == {"name": "channel_occupied", "channel": "cache-news"}
        events += [] if len(events) > 1 else (await told.next())["events"]
        assert events[1] == {"name": "cache_miss", "channel": "cache-news"}


# Pusher's library for node: what it makes of a request, and of the same one with another body and another key.
CHECK = """
((headers, body) => {
    const library = new PusherServer({appId: "1", key: "app-key", secret: "a secret of the application", host: "127.0.0.1"})
    const hook = (rawBody, changed) => library.webhook({headers: {...headers, ...changed}, rawBody})
    say(hook(body).isValid() && hook(body).getEvents(), hook(body + " ").isValid(), hook(body, {"x-pusher-key": "x"}).isValid())
})(...%s)
"""


@live
async def test_the_library_for_node_takes_it_too(scene: Make, told: Told) -> None:
    made = scene(pusher=[APP | {"webhook": told.url}])
    made.realtime.channel("news")(anyone)
    async with connect(f"ws://127.0.0.1:{made.port}/app/app-key?protocol=7") as socket:
        await socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "news"}}))
        headers, body = await asyncio.to_thread(told.requests.get, timeout=20)
    with Node() as node:
        lower = {name.lower(): value for name, value in headers.items()}
        node.run(CHECK % json.dumps([lower, body.decode()]))
        assert node.until(bool) == [[{"name": "channel_occupied", "channel": "news"}], False, False]


@live
async def test_what_is_never_taken_is_dropped_in_the_end(told: Told) -> None:
    told.statuses += [500] * 9
    clock = [0.0]
    tally = Tally()
    [desk, _] = PusherStage().desks
    hooks = Webhooks(desk, told.url, tally, lambda: clock[0])
    clock[0] = 0.0
    desk.hook({"name": "one"})
    task = hooks._task
    assert task is not None
    await asyncio.to_thread(told.requests.get, timeout=20)
    clock[0] = 1000.0
    await task
    assert tally._said.keys() == {"webhook-dropped"}
    for number in range(WAITING + 5):
        hooks.note({"name": str(number)})
    assert [len(hooks._waiting), hooks._waiting[0]] == [WAITING, {"name": "5"}]
    for _ in range(2 * WAITING):
        hooks.note({"name": "cache_miss"})
    assert [len(hooks._waiting), hooks._waiting[0]] == [WAITING, {"name": "5"}]
    hooks.note({"name": "member_removed"})
    assert [len(hooks._waiting), hooks._waiting[0], hooks._waiting[-1]] == [WAITING, {"name": "6"}, {"name": "member_removed"}]
    hooks.close()


@live
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://127.0.0.1:x/", f"http://{'x' * 64}.example/", "http://["])
async def test_nobody_there_is_not_taken(url: str) -> None:
    [desk, _] = PusherStage().desks
    hooks = Webhooks(desk, url, Tally())
    assert not await hooks._told([{"name": "one"}])
    hooks.close()
