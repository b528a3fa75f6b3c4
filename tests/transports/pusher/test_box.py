"""XHR line by line, and the connection in a session: who takes what, when a session ends, and who is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from sqla_realtime.transports.pusher import box
from tests.support.scene import Scene, eventually, live
from tests.support.web import Response, ask, request
from tests.transports.pusher.test_socket import APP

Make = Callable[..., Scene]
SESSION = "/pusher/app/app-key/12/abcdefgh"
QUERY = "?protocol=7&client=js"
SUBSCRIBE = json.dumps([json.dumps({"event": "pusher:subscribe", "data": {"channel": "projects,1,pages"}})])


async def poll(made: Scene) -> list[str]:
    status, headers, body = await ask(made.port, f"{SESSION}/xhr{QUERY}", b"")
    assert (status, headers["cache-control"]) == (200, "no-store")
    return body.decode().splitlines()


async def send(made: Scene, body: str = SUBSCRIBE, session: str = SESSION) -> int:
    return (await ask(made.port, f"{session}/xhr_send", body))[0]


def events(line: str) -> list[str]:
    assert line[0] == "a"
    return [json.loads(each)["event"] for each in json.loads(line[1:])]


async def heard(response: Response, wanted: str = "") -> str:
    """What comes next, up to a piece that has what is wanted in it."""
    while wanted not in (text := (await response.piece()).decode()):
        pass
    return text


@live
async def test_polls_bring_what_has_come(scene: Make) -> None:
    made = scene(pusher=[APP])
    first, line = await poll(made)
    assert (first, events(line)) == ("o", ["pusher:connection_established"])
    assert await send(made) == 204
    [line] = await poll(made)
    assert events(line) == ["pusher_internal:subscription_succeeded"]
    made.write()
    made.write()
    await eventually(lambda: bool(made.connections[0].pending))
    [line] = await poll(made)
    assert set(events(line)) == {"create"}
    assert line.isascii()


@live
async def test_without_news_a_poll_is_answered_in_the_end(scene: Make) -> None:
    made = scene(pusher=[APP], poll_wait=0.1)
    await poll(made)
    assert await poll(made) == ["h"]


@live
async def test_a_stream_goes_on(scene: Make) -> None:
    made = scene(pusher=[APP])
    stream = await request(made.port, f"{SESSION}/xhr_streaming{QUERY}", b"")
    assert await heard(stream) == "o\n"
    assert events((await heard(stream)).strip()) == ["pusher:connection_established"]
    assert await send(made) == 204
    assert events((await heard(stream)).strip()) == ["pusher_internal:subscription_succeeded"]
    made.write()
    assert events((await heard(stream)).strip()) == ["create"]
    other = await request(made.port, f"{SESSION}/xhr_streaming{QUERY}", b"")
    assert await stream.body() == b"", "a later request takes over"
    await stream.close()
    made.write()
    assert events((await heard(other)).strip()) == ["create"]
    await other.close()
    await eventually(lambda: not made.connections)
    assert await send(made) == 404, "what was on its way to a stream that was cut is lost, and so is the session"


@live
async def test_whoever_stays_away_is_gone(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene(pusher=[APP])
    monkeypatch.setattr(box, "AWAY", 0.05)
    await poll(made)
    await eventually(lambda: not made.connections)
    assert (await poll(made))[0] == "o"


@live
async def test_the_end_is_a_line(scene: Make) -> None:
    made = scene(pusher=[APP], connections=1)
    for path, line in [
        ("/pusher/app/other/12/abcdefgh/xhr?protocol=7", 'c[4001, "unknown-app"]\n'),
        ("/pusher/app/app-key/12/abcdefgh/xhr", 'c[4008, "no-protocol"]\n'),
    ]:
        assert (await ask(made.port, path, b""))[2].decode() == line
    stream = await request(made.port, f"{SESSION}/xhr_streaming{QUERY}", b"")
    await heard(stream, "established")
    full = await ask(made.port, f"/pusher/app/app-key/13/abcdefgh/xhr{QUERY}", b"")
    assert full[2].decode() == 'o\nc[4100, "over-capacity"]\n'
    await asyncio.to_thread(made.realtime.stop)
    assert (await stream.body()).decode() == 'c[4200, "reconnect"]\n'
    await stream.close()


@pytest.mark.parametrize(
    ("body", "status"), [("[]", 204), ("x", 400), ("{}", 400), ("[1]", 400), (json.dumps([""] * 101), 400)]
)
@live
async def test_what_is_said(scene: Make, body: str, status: int) -> None:
    made = scene(pusher=[APP])
    await poll(made)
    assert await send(made, body) == status
    assert await send(made, body, SESSION + "x") == (404 if status == 204 else status)


@live
async def test_the_gate_is_the_same(scene: Make) -> None:
    made = scene(pusher=[APP], development=False, allowed_origins="https://good.example")
    for path in ("xhr", "xhr_streaming", "xhr_send"):
        for method in ("POST", "OPTIONS"):
            answer = await ask(made.port, f"{SESSION}/{path}{QUERY}", b"[]", method=method, Origin="https://evil.example")
            assert answer[0] == 403
    status, headers, _ = await ask(made.port, f"{SESSION}/xhr{QUERY}", b"", method="OPTIONS", Origin="https://good.example")
    assert (status, headers["access-control-allow-origin"]) == (204, "https://good.example")
    assert "content-type" in headers["access-control-allow-headers"]
    answer = await ask(made.port, f"{SESSION}/xhr{QUERY}", b"", Origin="https://good.example")
    assert (answer[0], answer[1]["access-control-allow-origin"]) == (200, "https://good.example")
