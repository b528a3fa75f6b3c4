"""Webhooks: signed so that Pusher's own library takes them, sent again until they are taken, and bounded."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pusher
import pytest
from websockets.asyncio.client import connect

from sqla_realtime import anyone
from sqla_realtime.hub.tally import Tally
from sqla_realtime.transports.pusher import webhooks
from sqla_realtime.transports.pusher.webhooks import WAITING, Webhooks
from tests.hub.pusher_stage import PusherStage
from tests.support.scene import Scene, live
from tests.transports.pusher.test_socket import APP

Make = Callable[..., Scene]


class Told:
    """An application's server; ``statuses`` are its next answers, 200 after that."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[tuple[dict[str, str], bytes]] = queue.SimpleQueue()
        self.statuses: list[int] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(told.statuses.pop(0) if told.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                told.requests.put((dict(self.headers.items()), body))

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    async def next(self) -> dict[str, Any]:
        """What is told next, as the library reads it."""
        headers, body = await asyncio.to_thread(self.requests.get, timeout=20)
        library = pusher.Pusher(app_id="1", key=APP["key"], secret=APP["secret"], host="127.0.0.1")
        found: dict[str, Any] = library.validate_webhook(headers["X-Pusher-Key"], headers["X-Pusher-Signature"], body)
        assert found is not None, "the library does not take it"
        return found


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    thread = threading.Thread(target=told.server.serve_forever)
    thread.start()
    yield told
    told.server.shutdown()
    thread.join()
    told.server.server_close()


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
    hooks.close()


@live
async def test_nobody_there_is_not_taken() -> None:
    [desk, _] = PusherStage().desks
    hooks = Webhooks(desk, "http://127.0.0.1:1/", Tally())
    assert not await hooks._told([{"name": "one"}])
    hooks.close()
