"""Handshakes that are none: each its status, without a traceback and without a word of what the client has sent."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.handshakes import MALFORMED, OFFERS, SECRET, request
from tests.support.scene import Ear, Scene, live
from tests.support.wire import Wire

Make = Callable[..., Scene]


def status(port: int, data: bytes) -> tuple[int, bytes]:
    """What a request is answered with, and all bytes of the answer."""
    with Wire(port) as wire:
        try:
            wire.send(data.replace(b"{port}", b"%d" % port))
            answer = wire.answer()
        except (EOFError, ConnectionError):
            return 0, wire._buffer
        said = repr((answer.headers, answer.body)).encode()
        return answer.status, said


@live
async def test_each_has_its_status(scene: Make, ear: Ear) -> None:
    made = scene()
    ear.secrets.append(SECRET)
    async with made.canary():
        assert status(made.port, request())[0] == 101
        for name, (data, expected) in MALFORMED.items():
            found, said = status(made.port, data)
            assert (name, found) == (name, expected)
            assert SECRET.encode() not in said, name
            assert b"evil" not in said or "foreign" in name, name  # the fix names the host or origin that was refused
        made.write()


@live
async def test_in_production_nothing_of_it_comes_back(scene: Make, ear: Ear) -> None:
    made = scene(development=False)
    ear.secrets.append(SECRET)
    for name, (data, expected) in MALFORMED.items():
        found, said = status(made.port, data)
        assert (name, found) == (name, expected)
        for word in (SECRET, "evil", "passwd", "nonsense"):
            assert word.encode() not in said, name


def test_whoever_has_another_version_is_told_ours(scene: Make) -> None:
    with Wire(scene().port) as wire:
        answer = wire.ask(Sec_WebSocket_Version="8")
        assert (answer.status, answer.headers["sec-websocket-version"]) == (426, "13")


@live
async def test_offers_of_extensions_are_declined(scene: Make, ear: Ear) -> None:
    made = scene()
    async with made.canary():
        for offer in OFFERS:
            with Wire(made.port) as wire:
                answer = wire.ask(Sec_WebSocket_Extensions=offer)
                assert (offer, answer.status) == (offer, 101)
                assert "sec-websocket-extensions" not in answer.headers
                wire.say({"type": "ping"})
                assert wire.hear() == {"type": "pong"}
        with Wire(made.port) as wire:
            offers = [f"Sec-WebSocket-Extensions: {offer}" for offer in OFFERS]
            wire.send(request(*offers).replace(b"{port}", b"%d" % made.port))
            assert wire.answer().status == 101
