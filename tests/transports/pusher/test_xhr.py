"""XHR line by line, and unmodified pusher-js in Chromium over it, across origins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tornado.iostream import StreamClosedError

from sqla_realtime.transports import mailbox, quiet
from sqla_realtime.transports.pusher import xhr
from tests.support.browser import chromium
from tests.support.scene import Ear, Scene, eventually, live
from tests.support.web import Response, ask, request
from tests.transports.pusher import test_socket
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
    monkeypatch.setattr(mailbox, "AWAY", 0.05)
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
    assert (await stream.body()).decode() == 'c[4101, "restarting"]\n'
    await stream.close()


@live
async def test_who_answers_no_ping_is_closed(scene: Make) -> None:
    made = scene(pusher=[APP], ping_interval=0.2)
    stream = await request(made.port, f"{SESSION}/xhr_streaming{QUERY}", b"")
    said = (await stream.body()).decode().splitlines()
    assert [name for line in said[2:-1] for name in events(line)].count("pusher:ping") > 0
    assert said[-1] == 'c[4201, "pong-missing"]'
    await stream.close()
    await eventually(lambda: not made.connections)


@live
async def test_who_reads_nothing_is_cut(scene: Make) -> None:
    """Its messages wait up to a bound, and then its stream is closed, not kept for as long as the network does."""
    made = scene(pusher=[APP], queue_bytes=200_000)
    _, writer = await asyncio.open_connection("127.0.0.1", made.port, limit=1)
    writer.write(f"POST {SESSION}/xhr_streaming{QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode())
    await eventually(lambda: len(made.connections) == 1)
    assert await send(made) == 204
    [connection] = made.connections
    while made.connections:
        await asyncio.to_thread(made.write, 100_000)
    assert connection.aborted
    writer.transport.abort()


@live
async def test_whoever_does_not_take_its_answer_is_cut(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session is over by then, so nothing else counts it."""
    made = scene(pusher=[APP], queue_bytes=50_000_000)
    await poll(made)
    assert await send(made) == 204
    [connection] = made.connections
    while connection.pending < 20_000_000:
        await asyncio.to_thread(made.write, 1_000_000)
    monkeypatch.setattr(quiet, "TAKING", 0.05)
    monkeypatch.setattr(mailbox, "AWAY", 0.01)
    _, writer = await asyncio.open_connection("127.0.0.1", made.port, limit=1)
    writer.write(f"POST {SESSION}/xhr{QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode())
    await eventually(lambda: not (made.connections or made.server._server._streams))
    writer.transport.abort()


@live
async def test_a_client_that_is_found_gone_by_a_write_is_gone(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tornado tells nobody of it whose answer is over by then."""
    made = scene(pusher=[APP])
    stream = await request(made.port, f"{SESSION}/xhr_streaming{QUERY}", b"")
    await heard(stream, "established")

    flush = xhr.XhrStreamingHandler.flush

    def gone(handler: xhr.XhrStreamingHandler, include_footers: bool = False) -> Any:
        if include_footers:
            return flush(handler, include_footers)
        raise StreamClosedError

    monkeypatch.setattr(xhr.XhrStreamingHandler, "flush", gone)
    assert await send(made) == 204
    await eventually(lambda: not made.connections)
    # The same with the first that is written.
    monkeypatch.setattr(mailbox, "AWAY", 0.05)
    again = await request(made.port, f"{SESSION}/xhr_streaming{QUERY}", b"")
    await eventually(lambda: not made.connections)
    for each in (stream, again):
        await each.close()


@live
async def test_whoever_does_not_leave_a_stream_that_has_brought_enough_is_let_go(
    scene: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene(pusher=[APP])
    monkeypatch.setattr(xhr, "MOST", 1)
    monkeypatch.setattr(xhr, "LEAVING", 0.05)
    stream = await request(made.port, f"{SESSION}/xhr_streaming{QUERY}", b"")
    assert "established" in (await stream.body()).decode()
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
async def test_no_session_is_logged(scene: Make, ear: Ear) -> None:
    made = scene(pusher=[APP])
    ear.secrets.append("abcdefgh")
    await poll(made)
    for _ in range(2):  # what is logged of one is there when the next is answered
        assert await send(made) == 204
    assert "POST /pusher/app/app-key/xhr 200" in ear.text
    assert "POST /pusher/app/app-key/xhr_send 204" in ear.text


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


LIBRARY = Path(__file__).parents[3] / "node_modules" / "pusher-js" / "dist" / "web" / "pusher.js"
CONNECT = """
([port, transport]) => {
    window.heard = []
    window.pusher = new Pusher("app-key", {cluster: "", httpHost: "127.0.0.1", httpPort: port, forceTLS: false,
        enabledTransports: [transport]})
    pusher.connection.bind("state_change", ({current}) => heard.push(current))
    pusher.subscribe("projects,1,pages").bind_global((event, data) => heard.push(event + (data.id ?? "")))
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def comes(page: Page, *heard: str) -> None:
    page.wait_for_function("wanted => wanted.every(each => heard.includes(each))", arg=list(heard))


@pytest.mark.browser
@pytest.mark.parametrize("transport", ["xhr_streaming", "xhr_polling"])
def test_pusher_js_hears_commits(scene: Make, browser: Browser, transport: str) -> None:
    made = scene(pusher=[APP])
    page = browser.new_page()
    page.goto(f"http://localhost:{made.port}/")
    page.add_script_tag(path=LIBRARY)
    page.evaluate(CONNECT, [made.port, transport])
    comes(page, "connected", "pusher:subscription_succeeded")
    for number in range(1, 4):
        made.write()
        comes(page, f"create{number}")
    if transport == "xhr_streaming":
        for _ in range(30):  # more than a stream carries, so the client goes on with another one
            made.write(14_000)
        comes(page, "create33")
        assert page.evaluate("heard.filter(each => each.startsWith('create')).length") == 33
        assert page.evaluate("heard.filter(each => each === 'connected').length") == 1
    test_socket.dismiss(made)
    comes(page, "connecting")
    page.wait_for_function("heard.filter(each => each === 'pusher:subscription_succeeded').length === 2")
    page.close()
