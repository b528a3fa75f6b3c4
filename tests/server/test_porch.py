"""Sockets that ask for nothing: so many are borne, more are closed at once, and none is counted after its end."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.scene import Ear, Scene, eventually, live
from tests.support.wire import Wire

Make = Callable[..., Scene]


@live
async def test_sockets_that_ask_for_nothing_are_bounded(scene: Make, ear: Ear) -> None:
    made = scene(connections=2, handshake_line=1, unadmitted=1)
    porch = made.server._server
    async with made.canary():  # a WebSocket is no longer on the porch
        await eventually(lambda: len(porch._streams) == 0)
        silent = [Wire(made.port) for _ in range(4)]
        await eventually(lambda: len(porch._streams) == 4)
        for _ in range(5):
            with Wire(made.port) as wire:
                assert wire.rest() == b""
        assert silent[0].get("/realtime/realtime.js").status == 200, "whoever is here is served"
        for wire in silent:
            wire.socket.close()
        await eventually(lambda: len(porch._streams) == 0)
        with Wire(made.port) as wire:
            assert wire.get("/realtime/realtime.js").status == 200
    assert ear.text.count("[too-busy]") == 1
