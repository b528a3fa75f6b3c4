"""A WebSocket after its handshake, on a real server: what is kept of it, signs of life, and how it ends."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.transports import link
from sqla_realtime.transports.framing import PING, PONG, Reader
from sqla_realtime.transports.link import Link
from sqla_realtime.transports.websocket import SocketHandler
from tests.support.scene import PAGES, Ear, Scene, eventually, live
from tests.support.wire import CLOSE, TEXT, Wire
from tests.transports.test_websocket import hello

Make = Callable[..., Scene]


def ending(wire: Wire) -> int | None:
    """The code of the close frame that comes after everything else; then nothing but the end."""
    while (heard := wire.heard())[0] != CLOSE:
        assert heard[0] in (TEXT, PING, PONG)
    assert wire.rest() == b""
    return int.from_bytes(heard[1][:2], "big") if heard[1] else None


def gone(kept: list[weakref.ref[Any]]) -> bool:
    """Whether nothing holds any of these."""
    gc.collect()
    return not any(each() is not None for each in kept)


# What is kept.


@live
async def test_nothing_of_http_outlives_the_handshake(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene()
    http: list[weakref.ref[Any]] = []
    begin = SocketHandler._begin

    def noted(handler: SocketHandler, *arguments: Any) -> None:
        http.extend(map(weakref.ref, (handler, handler.request, handler.request.connection)))
        begin(handler, *arguments)

    monkeypatch.setattr(SocketHandler, "_begin", noted)
    wires = [Wire(made.port) for _ in range(20)]
    try:
        for wire in wires:
            hello(wire)
            wire.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
            assert wire.hear()["type"] == "subscribed"
        assert len(http) == 60
        await eventually(lambda: gone(http))
        ours = [weakref.ref(each) for each in made.server._lobby.conversations]
        assert len(ours) == 20
    finally:
        for wire in wires:
            wire.socket.close()
    await eventually(lambda: not made.connections)
    await eventually(lambda: gone(ours))


def test_it_has_no_dictionaries() -> None:
    for kind in (Link, Reader):
        assert "__dict__" not in dir(kind)


# How it ends.


@live
async def test_whoever_closes_is_answered_with_its_own_code(scene: Make) -> None:
    made = scene()
    async with made.canary():
        for data, code in ((b"", None), (b"\x03\xe8", 1000), (b"\x03\xe9going", 1001), (b"\x0b\xb8", 3000)):
            with Wire(made.port) as wire:
                hello(wire)
                wire.frame(CLOSE, data)
                assert ending(wire) == code
        await eventually(lambda: len(made.connections) == 1)


@live
async def test_nothing_after_a_close_is_heard(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(Conversation, "receive", lambda conversation, text: heard.append(text))
    with Wire(scene().port) as wire:
        assert wire.ask().status == 101
        wire.send(b"\x81\x81\0\0\0\0a" + b"\x89\x80\0\0\0\0" + b"\x88\x80\0\0\0\0" + b"\x81\x81\0\0\0\0b" + b"\x88\x01nonsense")
        assert wire.heard() == (PONG, b"")
        assert ending(wire) is None
    assert heard == ["a"]


@live
async def test_a_client_that_does_not_answer_a_close_is_cut(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded time, whether it was the server that closed or a mistake, and whatever the client still says."""
    monkeypatch.setattr(link, "LINGER", 0.2)
    made = scene(max_errors=1)
    for bad in (b"\xc1\x80\0\0\0\0", b"\x81\x81\0\0\0\0?"):
        with Wire(made.port) as wire:
            hello(wire)
            wire.send(bad)
            opcode = PING
            while opcode != CLOSE:
                opcode, _ = wire.heard()
            await eventually(lambda: not made.connections)


@live
async def test_a_full_socket_keeps_no_connection(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The close frame waits behind what is not read; not for ever."""
    monkeypatch.setattr(link, "LINGER", 0.2)
    made = scene(queue_bytes=2**26)
    for number in range(8):
        made.write(1_000_000 + number)
    with Wire(made.port, receive_buffer=4096) as stuck:
        hello(stuck)
        stuck.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
        await eventually(lambda: any(each.pending > 1_000_000 for each in made.connections))
        stuck.send(b"\xc1\x80\0\0\0\0")
        await eventually(lambda: not made.connections)


@live
async def test_a_close_comes_after_what_was_said_before(scene: Make) -> None:
    made = scene(max_errors=1)
    with Wire(made.port) as wire:
        hello(wire)
        wire.frame(TEXT, b"?")
        assert [wire.hear()["type"] for _ in range(2)] == ["error", "bye"]
        opcode, data = wire.heard()
        assert (opcode, data) == (CLOSE, (4400).to_bytes(2, "big") + b"bad-messages")
        wire.frame(CLOSE, data)
        assert wire.rest() == b""


@live
async def test_our_own_mistake_is_1011(scene: Make, ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene()
    async with made.canary():
        with Wire(made.port) as wire:
            hello(wire)
            monkeypatch.setattr(Conversation, "blunder", _broken)
            wire.frame(2, b"s3cret")
            assert ending(wire) == 1011
    ear.tracebacks = 1
    ear.secrets.append("s3cret")
    assert "[frame-failed]" in ear.text


def _broken(*arguments: Any) -> None:
    raise RuntimeError("our mistake")


# Signs of life.


@live
async def test_pings_are_answered_in_order(scene: Make) -> None:
    with Wire(scene().port) as wire:
        hello(wire)
        for number in range(10):
            wire.frame(PING, b"%d" % number)
        assert [wire.heard() for _ in range(10)] == [(PONG, b"%d" % number) for number in range(10)]
        wire.frame(PING, b"x" * 125)
        assert wire.heard() == (PONG, b"x" * 125)


@live
async def test_a_client_that_answers_nothing_is_cut(scene: Make) -> None:
    made = scene(ping_interval=0.2)
    with Wire(made.port) as wire:
        hello(wire)
        assert ending_of_silence(wire) == (1000, b"ping-timed-out")


def ending_of_silence(wire: Wire) -> tuple[int, bytes]:
    """Hear pings, and answer none of them."""
    while (heard := wire.heard())[0] != CLOSE:
        assert heard[0] in (TEXT, PING)
    return int.from_bytes(heard[1][:2], "big"), heard[1][2:]


@pytest.mark.parametrize("sign", ["pong", "another pong", "ping", "message", "binary"])
@live
async def test_any_frame_is_life(scene: Make, sign: str) -> None:
    made = scene(ping_interval=0.2, max_errors=1000)
    with Wire(made.port) as wire:
        hello(wire)
        pings = 0
        while pings < 5:
            opcode, _ = wire.heard()
            assert opcode != CLOSE
            if opcode == PING:
                pings += 1
                wire.send({"pong": b"\x8a\x80\0\0\0\0", "another pong": b"\x8a\x81\0\0\0\0x", "ping": b"\x89\x80\0\0\0\0",
                           "message": b"\x81\x80\0\0\0\0", "binary": b"\x82\x80\0\0\0\0"}[sign])  # fmt: skip


@live
async def test_pings_that_nobody_hears_answered_are_bounded(scene: Make) -> None:
    """The answers fill what the sockets hold; from then on the latest alone is remembered, and others are served."""
    made = scene()
    flood = (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 500
    with Wire(made.port, receive_buffer=4096) as wire:
        hello(wire)
        [stream] = made.server._lobby._streams.values()
        async with made.canary():
            for number in range(400):  # 26 MB
                wire.send(flood)
                if number % 40 == 0:
                    made.write()
                buffer = stream._write_buffer
                assert buffer is None or len(buffer) <= link.CHUNK
            assert stream.writing()
            wire.send(b"\x89\x84\0\0\0\0last")
            while wire.heard()[1] != b"last":
                pass


@live
async def test_a_connection_that_was_used_before_may_become_one(scene: Make) -> None:
    """Kept alive from another request, and with the first frames in the breath of the handshake."""
    made = scene()
    with Wire(made.port) as wire:
        assert wire.get("/realtime/realtime.js").status == 200
        assert wire.get("/realtime/ws").status == 426
        hello(wire)
        wire.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
        assert wire.hear()["type"] == "subscribed"
        made.write()
        assert "commit" in wire.hear()
