"""Each limit is exceeded on every transport: the code is seen, nothing is left behind, and another client does not notice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.server.doors import ApplicationDoorkeeper
from tests.support.carriers import KINDS, EventsPeer, PollPeer
from tests.support.peer import Peer
from tests.support.scene import PAGES, Ear, Scene, eventually, live
from tests.support.web import ask, request
from tests.support.wire import Wire
from tests.transports.test_conformance import Stall, _ask

Make = Callable[..., Scene]
OTHER = "projects/2/pages"
POLL = json.dumps([{"type": "hello"}, {"type": "subscribe", "id": 1, "channels": [PAGES]}])


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> type[Peer]:
    return KINDS[request.param]


def address(kind: type[Peer], made: Scene, client: str) -> Peer:
    """A peer whose proxy says where it is."""
    if kind is Peer:
        return Peer(made.port, additional_headers={"X-Forwarded-For": client})
    return kind(made.port, X_Forwarded_For=client)


def nothing_left(made: Scene, canaries: int = 0) -> bool:
    """Whether nobody but the canaries is counted anywhere."""
    lobby = made.server._lobby
    return (
        len(lobby.conversations) == len(lobby.census) == len(lobby._streams) == canaries
        and not lobby.census._sizes
        and not lobby.line
        and not lobby._reachable
        and lobby.line._timer is None
    )


@asynccontextmanager
async def stays(peer: Peer, made: Scene, count: int) -> AsyncIterator[None]:
    """While it lasts the peer is on the server, also where it is a long-poll, which is there as long as it waits."""
    await peer.hello()
    await peer.subscribe(PAGES)
    if isinstance(peer, PollPeer):
        await eventually(lambda: len(made.server._lobby.census) < count)  # the first poll is over
    waiting = asyncio.ensure_future(peer.until(lambda heard: heard.get("type") == "bye"))
    await eventually(lambda: len(made.server._lobby.census) >= count)
    try:
        yield
        assert not waiting.done(), "whoever is in stays"
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def bye(peer: Peer) -> dict[str, Any]:
    """Say hello, and hear the goodbye that answers it, whole."""
    with suppress(ConnectionClosed):  # a WebSocket is told before it says anything
        await peer.say({"type": "hello"})
    said = await peer.until(lambda heard: heard.get("type") == "bye")
    assert await peer.receive() is None
    return said


# Connections.


@live
async def test_one_connection_too_many(scene: Make, kind: type[Peer], ear: Ear) -> None:
    made = scene(connections=3)
    async with made.canary():
        async with kind(made.port) as one, kind(made.port) as two, stays(one, made, 2), stays(two, made, 3):
            for _ in range(5):
                async with kind(made.port) as peer:
                    said = await bye(peer)
                    assert (said["code"], said["reason"]) == (4504, "too-many-connections")
                    assert 0 <= said["retry_after_ms"] <= 2000
                await eventually(lambda: len(made.connections) == 3)
            made.write()
        await eventually(lambda: nothing_left(made, 1))
        async with kind(made.port) as peer:  # there is room again
            await peer.hello()
            assert (await peer.subscribe(PAGES))["type"] == "subscribed"
        await eventually(lambda: nothing_left(made, 1))
    assert ear.text.count("[too-many-connections]") == 1, "five of them are one line"


@live
async def test_one_connection_too_many_from_an_address(scene: Make, kind: type[Peer]) -> None:
    made = scene(connections_per_address=1, trusted_proxies="127.0.0.1")
    async with made.canary():  # on the loopback, without a word of a proxy: not counted by address
        async with address(kind, made, "203.0.113.7") as one, stays(one, made, 2):
            async with address(kind, made, "198.51.100.9, 203.0.113.7") as peer:
                said = await bye(peer)
                assert (said["code"], said["reason"]) == (4505, "too-many-from-address")
            async with address(kind, made, "203.0.113.8") as other, kind(made.port) as near:
                for each in (other, near):
                    await each.hello()
                    assert (await each.subscribe(PAGES))["type"] == "subscribed"
        await eventually(lambda: nothing_left(made, 1))


@live
async def test_a_proxy_that_is_not_named_makes_nobody_one(scene: Make, kind: type[Peer]) -> None:
    """Behind a reverse proxy on the same machine everybody comes from the loopback."""
    made = scene(connections_per_address=1)
    one, two = (address(kind, made, "203.0.113.7") for _ in range(2))
    async with one, two, stays(one, made, 1), stays(two, made, 2):
        assert not made.server._lobby.census._sizes
    await eventually(lambda: nothing_left(made))


# Messages.


@live
async def test_messages_that_come_too_fast(scene: Make, ear: Ear) -> None:
    """On the carriers that last; a poll brings no more than max_messages, and each is a handshake."""
    made = scene(message_rate=0.001, message_burst=3, max_errors=4)
    for kind in (Peer, EventsPeer):
        async with made.canary(), kind(made.port) as peer:
            await peer.hello()
            for number in range(20):
                await peer.say({"type": "unsubscribe", "id": number, "channels": [PAGES]})
            said = await peer.until(lambda heard: heard.get("type") == "bye")
            assert (said["code"], said["reason"]) == (4506, "too-fast")
            assert await peer.receive() is None
            refused = [message["id"] for message in peer.log if message.get("code") == "too-fast"]
            assert refused == list(range(refused[0], refused[0] + 3))
    await eventually(lambda: nothing_left(made))
    assert ear.text.count("[too-fast]") == 1


# Handshakes.


@live
async def test_handshakes_wait_for_their_turn(scene: Make, kind: type[Peer]) -> None:
    made = scene(handshake_rate=20)
    async with made.canary():
        peers = [kind(made.port) for _ in range(40)]

        async def come(peer: Peer) -> None:
            async with peer:
                await peer.hello()
                await peer.subscribe(PAGES)

        since = asyncio.get_running_loop().time()
        await asyncio.gather(*map(come, peers))
        assert asyncio.get_running_loop().time() - since > 0.5, "twenty at once, twenty at twenty a second"
        await eventually(lambda: nothing_left(made, 1))


@live
async def test_whoever_has_no_place_in_the_line_is_sent_away(scene: Make, ear: Ear) -> None:
    made = scene(handshake_rate=0.01, handshake_line=2)
    # The canary takes the first turn; the next comes in a hundred seconds.
    async with made.canary():
        waiting = [asyncio.ensure_future(request(made.port, "/realtime/poll", POLL)) for _ in range(2)]
        await eventually(lambda: len(made.server._lobby.line) == 2)
        for path, body in (("poll", POLL), ("sse", POLL), ("sse?channel=" + PAGES, None), ("ws", None)):
            if path == "ws":  # the look that tells a page why its WebSocket failed
                assert made.server._lobby.line.busy
            status, headers, answer = await ask(made.port, f"/realtime/{path}", body, Origin=f"http://127.0.0.1:{made.port}")
            assert (status, json.loads(answer)["code"]) == (503, "too-busy")
            assert 1 <= int(headers["retry-after"]) <= 5
            assert headers["access-control-allow-origin"]
        with Wire(made.port) as wire:
            refusal = wire.ask()
            assert (refusal.status, refusal.json()["code"]) == (503, "too-busy")
        # What begins no conversation waits for nobody.
        assert (await ask(made.port, "/realtime/realtime.js"))[0] == 200
        assert (await ask(made.port, "/realtime/poll", method="OPTIONS"))[0] == 204
        assert (await ask(made.port, "/realtime/send", '{"connection": "c-0123456789abcdef", "messages": []}'))[0] in (400, 404)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await eventually(lambda: nothing_left(made, 1))
        assert not made.server._lobby.line.busy
    assert ear.text.count("[too-busy]") == 1


@live
async def test_a_client_may_leave_the_line(scene: Make) -> None:
    made = scene(handshake_rate=0.01, handshake_line=5)
    async with made.canary():
        for path in ("/realtime/ws", "/realtime/sse?channel=" + PAGES):
            wires = [Wire(made.port) for _ in range(5)]
            for wire in wires:
                wire.send(
                    f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sqla-realtime.v1\r\n".encode()
                    + (b"Upgrade: websocket\r\n\r\n" if path.endswith("ws") else b"\r\n")
                )
            await eventually(lambda: len(made.server._lobby.line) == 5)
            for wire in wires:
                wire.socket.close()
            await eventually(lambda: nothing_left(made, 1))
        assert len(made.server._server._streams) == len(made.server._server._connections)


@live
async def test_a_stop_empties_the_line(scene: Make) -> None:
    made = scene(handshake_rate=0.01)
    async with Peer(made.port):
        waiting = asyncio.ensure_future(ask(made.port, "/realtime/poll", POLL))
        await eventually(lambda: len(made.server._lobby.line) == 1)
        await asyncio.to_thread(made.realtime.stop, 10)
        status, _, answer = await waiting
        [said] = json.loads(answer)
        assert (status, said["code"]) == (200, 4500)
        assert said["retry_after_ms"] >= 0


# Who says nothing.


@live
async def test_silence_makes_room_for_the_next(scene: Make) -> None:
    made = scene(unadmitted=3)
    async with made.canary(), Peer(made.port) as busy:
        await busy.hello()
        silent = [await Peer(made.port).__aenter__() for _ in range(5)]
        for peer in silent[:2]:
            assert await peer.closed() == (4503, "hello-timeout")
        for peer in silent[2:]:
            assert (await peer.hello())["type"] == "hello"
        for peer in silent:
            await peer.socket.close()
    await eventually(lambda: nothing_left(made))


@live
async def test_whoever_waits_for_an_answer_to_its_hello_is_not_silent(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene(unadmitted=1)
    with Stall(monkeypatch, ApplicationDoorkeeper, "identify") as stall:
        peers = [await Peer(made.port).__aenter__() for _ in range(1)]
        await peers[0].say({"type": "hello"})
        assert await asyncio.to_thread(stall.reached.wait, 20)
        peers += [await Peer(made.port).__aenter__() for _ in range(1)]
        await eventually(lambda: [each.close_code for each in made.connections] == [None, None])
    for peer in peers:
        await peer.socket.close()


# HTTP.


@live
async def test_headers_are_so_many_and_so_large(scene: Make) -> None:
    made = scene(max_headers=20, max_header=2000)
    async with made.canary():
        many = {f"X_{number}": "1" for number in range(30)}
        for path, body in (("/realtime/poll", POLL), ("/realtime/sse", POLL)):
            status, _, answer = await ask(made.port, path, body, **many)
            assert (status, json.loads(answer)["code"]) == (431, "too-many-headers")
        with Wire(made.port) as wire:
            refusal = wire.ask(**many)
            assert (refusal.status, refusal.json()["code"]) == (431, "too-many-headers")
        for line in (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 3000):
            with Wire(made.port) as wire:
                wire.send(line)
                assert wire.rest() == b"", "it is not read to its end"


@pytest.mark.parametrize(
    "path",
    ["/realtime/../etc/passwd", "/realtime/%2e%2e/%2e%2e/etc/passwd", "/realtime/..%2frealtime.js", "/realtime/realtime.js%00",
     "/realtime/%00", "/realtime/..\\..\\x.js", "/realtime/ws%00", "/realtime//ws", "/realtime/\x00.js", "/\x00",
     "/realtime/a%2F..%2Fb.js"],
)  # fmt: skip
def test_paths_that_lead_nowhere(scene: Make, path: str, ear: Ear) -> None:
    made = scene()
    with Wire(made.port) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = wire.rest()
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer


# Nothing is left behind, whatever happens.


@live
async def test_an_exception_in_a_handshake_leaves_nothing(scene: Make, kind: type[Peer], monkeypatch: Any, ear: Ear) -> None:
    made = scene()

    def broken(*_: Any) -> None:
        raise RuntimeError("our mistake")

    async with made.canary():
        with monkeypatch.context() as patch:
            patch.setattr(Conversation, "take", broken)
            async with kind(made.port) as peer:
                with pytest.raises((EOFError, OSError, ValueError)):
                    await _ask(peer)
        await eventually(lambda: nothing_left(made, 1))
    ear.tracebacks = ear.text.count("Traceback (most")


@live
async def test_clients_that_come_and_go_at_random_leave_nothing(scene: Make) -> None:
    made = scene(connections=6, connections_per_address=2, trusted_proxies="127.0.0.1", handshake_rate=100, handshake_line=5)
    choose = random.Random(1)

    async def visit(number: int) -> None:
        peer = address(choose.choice([*KINDS.values()]), made, f"203.0.113.{number % 4}")
        try:
            async with asyncio.timeout(choose.random() / 5), peer:
                await peer.hello()
                await peer.subscribe(PAGES, OTHER)
                await peer.until(lambda heard: heard.get("type") == "bye")
        except Exception:  # noqa: S110 - refused, cut, closed or out of time: all of it is what the test is about
            pass

    async with made.canary():
        for _ in range(5):
            await asyncio.gather(*map(visit, range(20)))
        await eventually(lambda: nothing_left(made, 1))
    await eventually(lambda: nothing_left(made))
    assert not made.server._lobby._silent
