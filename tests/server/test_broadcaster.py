"""The server's clock and its end: hello in time, pings that carry the position, goodbyes that say when to come back."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from sqla_realtime.commit import Event
from tests.support.peer import Peer
from tests.support.scene import PAGES, Ear, Scene, eventually, live
from tests.support.wire import CLOSE, TEXT, Wire

Make = Callable[..., Scene]


@live
async def test_whoever_says_nothing_is_closed(scene: Make) -> None:
    made = scene(hello_timeout=0.3)
    async with made.canary():
        async with Peer(made.port) as peer:
            assert await peer.closed() == (4503, "hello-timeout")
            assert peer.log == [{"type": "bye", "code": 4503, "reason": "hello-timeout"}]
        # Neither a ping nor a mistake is a hello, however often it is sent.
        async with Peer(made.port) as peer:
            await peer.say({"type": "ping"})
            await peer.say("?")
            assert (await peer.closed())[0] == 4503


@live
async def test_whoever_said_hello_stays(scene: Make) -> None:
    made = scene(hello_timeout=0.3)
    async with Peer(made.port) as late, Peer(made.port) as early:
        await early.hello()
        assert (await late.closed())[0] == 4503
        await early.say({"type": "ping"})
        assert await early.hear() == {"type": "pong"}


@live
async def test_an_idle_connection_hears_pings_with_its_position(scene: Make) -> None:
    made = scene(ping_interval=0.5)
    async with Peer(made.port) as peer:
        assert (await peer.hello())["ping"] == 0.5
        # Nothing joined: no position.
        assert await peer.hear() == {"type": "ping"}
        await peer.subscribe(PAGES)
        before = peer.position
        assert await peer.until(lambda message: message["type"] == "ping") == {"type": "ping", "position": before}
        # Commits of other channels move it on.
        async with Peer(made.port) as other:
            await other.hello()
            await other.subscribe("projects/2/pages")
            made.write(project=2)
            await other.until(lambda message: "commit" in message)
            assert other.position != before
            await peer.until(lambda message: message["type"] == "ping" and message["position"] != before)
            assert peer.position == other.position


@live
async def test_a_connection_is_never_silent_for_longer_than_it_was_told(scene: Make) -> None:
    made = scene(ping_interval=0.5)
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        loop = asyncio.get_running_loop()
        for _ in range(3):
            since = loop.time()
            await peer.hear()
            # Half a second of grace for a busy machine.
            assert loop.time() - since < 0.5 + 0.5


@live
async def test_a_client_that_answers_no_ping_is_given_up(scene: Make) -> None:
    made = scene(ping_interval=0.05)
    with Wire(made.port) as wire:
        wire.ask()
        wire.say({"type": "hello"})
        while wire.heard()[0] != CLOSE:
            pass


@live
async def test_stop_says_when_to_come_back(scene: Make) -> None:
    made = scene()
    async with Peer(made.port) as admitted, Peer(made.port) as joined, Peer(made.port) as silent:
        await admitted.hello()
        await joined.hello()
        await joined.subscribe(PAGES)
        await asyncio.to_thread(made.realtime.stop)
        for peer in (admitted, joined, silent):
            assert await peer.closed() == (4500, "restarting")
            assert 0 <= peer.log[-1].pop("retry_after_ms") <= 2000
            assert peer.log[-1] == {"type": "bye", "code": 4500, "reason": "restarting"}
    assert not made.realtime.running


@live
async def test_stop_waits_for_nobody_for_long(scene: Make) -> None:
    """Neither for a reader that has stopped, nor for one that does not close, nor for an idle HTTP connection."""
    made = scene(queue_bytes=50_000_000)
    stuck, rude, idle = Wire(made.port, receive_buffer=4096), Wire(made.port), Wire(made.port)
    with stuck, rude, idle:
        idle.get("/realtime/realtime.js")
        for wire in (stuck, rude):
            wire.ask()
            wire.say({"type": "hello"})
            assert wire.hear()["type"] == "hello"
        stuck.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
        assert stuck.hear()["type"] == "subscribed"
        async with made.canary():
            for _ in range(15):
                made.write(500_000)
        await asyncio.to_thread(made.realtime.stop, 0.2)
        assert not made.realtime.running
        assert rude.hear()["type"] == "bye"
        assert rude.heard()[0] == CLOSE
        for wire in (stuck, rude, idle):
            wire.rest()


@live
async def test_nobody_comes_in_after_stop(scene: Make) -> None:
    made = scene()
    port = made.port
    made.realtime.stop()
    with pytest.raises(OSError):
        await Peer(port).__aenter__()


@live
async def test_many_joins_and_leaves_leave_nothing_behind(scene: Make) -> None:
    made = scene()
    async with made.canary():
        for _ in range(30):
            async with Peer(made.port) as peer:
                await peer.hello()
                await peer.subscribe(PAGES, "projects/2/pages")
                await peer.say({"type": "unsubscribe", "id": 2, "channels": [PAGES]})
                await peer.until(lambda heard: heard == {"type": "unsubscribed", "id": 2, "channels": [PAGES]})
        await eventually(lambda: len(made.connections) == 1)


@live
async def test_the_clock_keeps_nobody_who_is_gone(scene: Make) -> None:
    made = scene(ping_interval=0.4)
    async with Peer(made.port) as peer:
        await peer.hello()
        assert await peer.hear() == {"type": "ping"}  # so it was looked at
        ours = [weakref.ref(each) for each in made.server._lobby.conversations]
    await eventually(lambda: not made.connections)

    def gone() -> bool:
        gc.collect()
        return [each() for each in ours] == [None]

    await eventually(gone)


@live
async def test_what_is_sent_is_text(scene: Make) -> None:
    made = scene()
    with Wire(made.port) as wire:
        wire.ask()
        wire.say({"type": "hello"})
        wire.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
        assert wire.heard()[0] == TEXT
        assert wire.heard()[0] == TEXT
        # Each of the three ways to write a length.
        for size in (10, 200, 70_000):
            made.write(size)
            opcode, data = wire.heard()
            assert opcode == TEXT
            assert made.written[-1].encode() in data


@live
async def test_what_was_said_and_cannot_be_told_disturbs_no_rows(
    scene: Make, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene()

    def fail(event: Event) -> None:
        raise ValueError("whatever it is")

    monkeypatch.setattr(made.server.house.gathering, "hear", fail)
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        made.server._enter(Event("", "rooms/5", "typing", "1", "7"))
        made.write()
        assert "commit" in await peer.hear()
    assert "[event-failed]" in ear.text
    ear.tracebacks = 1
