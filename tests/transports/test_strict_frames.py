"""Each violation of RFC 6455 on a real server: the close frame with its exact code, then the end, and no harm to others."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.scene import Ear, Scene, live
from tests.support.wire import TEXT, Wire
from tests.transports.test_framing import ILL, WELL
from tests.transports.test_link import ending
from tests.transports.test_websocket import hello

Make = Callable[..., Scene]


@live
async def test_each_violation_is_told_before_the_connection_ends(scene: Make, ear: Ear) -> None:
    made = scene(max_message=1000)
    async with made.canary():
        for name, (data, code) in ILL.items():
            with Wire(made.port) as wire:
                hello(wire)
                wire.send(data)
                assert (name, ending(wire)) == (name, code)
        made.write()


@live
async def test_byte_by_byte_is_no_different(scene: Make) -> None:
    made = scene(max_message=1000)
    async with made.canary():
        for name, (data, code) in ILL.items():
            if len(data) < 20:
                with Wire(made.port) as wire:
                    hello(wire)
                    for index in range(len(data)):
                        wire.send(data[index : index + 1])
                    assert (name, ending(wire)) == (name, code)


@live
async def test_what_is_allowed_ends_nothing(scene: Make) -> None:
    made = scene(max_message=1000, max_errors=1000)
    async with made.canary():
        with Wire(made.port) as wire:
            hello(wire)
            for name, (data, _) in WELL.items():
                if "close" not in name:
                    wire.send(data)
            wire.say({"type": "ping"})
            while wire.heard() != (TEXT, b'{"type":"pong"}'):
                pass


@live
async def test_a_violation_at_any_moment(scene: Make) -> None:
    """Before hello, behind other frames in one breath, and in the breath of the handshake itself."""
    made = scene()
    async with made.canary():
        with Wire(made.port) as wire:
            assert wire.ask().status == 101
            wire.send(b"\x81\x00")
            assert ending(wire) == 1002
        with Wire(made.port) as wire:
            hello(wire)
            wire.send(b"\x89\x80\0\0\0\0" * 20 + b"\x81\x82\0\0\0\0{}" + b"\x83\x80\0\0\0\0" + b"\x88\x80\0\0\0\0")
            assert ending(wire) == 1002
        with Wire(made.port) as wire:
            wire.send(
                f"GET /realtime/ws HTTP/1.1\r\nHost: localhost:{made.port}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Protocol: sqla-realtime.v1\r\n\r\n".encode()
                + b"\x89\x81\0\0\0\0a\x81\x81\0\0\0\0\xff"
            )
            assert wire.answer().status == 101
            assert ending(wire) == 1007
