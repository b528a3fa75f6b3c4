"""The flusher: whoever asked has its turn, in order; nobody's mistake is another's, and a slice ends in time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sqla_realtime.transports import flusher as flusher_module
from sqla_realtime.transports.flusher import LOOK, MEMORY, SLICE, Flusher, Write
from tests.support.scene import live


class Asker:
    """Does something with a number when it is its turn, and has a byte to send."""

    def __init__(self, act: Callable[[int], object] = lambda number: None, number: int = 0, data: bytes = b"x") -> None:
        self.act = act
        self.number = number
        self.data = data
        self.to: Any = Socket()
        self.kept_back: list[tuple[bytes, int | None]] = []

    def turn(self, now: float) -> Write | None:
        self.act(self.number)
        return (self, self.to, self.data) if self.data else None

    def kept(self, data: bytes, sent: int | None) -> None:
        self.kept_back.append((data, sent))


class Socket:
    """Takes what it is let to; ``held`` tells with which send it was written to."""

    def __init__(self, takes: int = 10, fault: OSError | None = None, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.takes = takes
        self.fault = fault
        self.meanwhile = meanwhile
        self.held: list[bool] = []


@pytest.fixture(autouse=True)
def sends(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("keeping", "releasing"):

        def send(to: Socket, data: bytes, name: str = name) -> int:
            to.held.append(name == "keeping")
            to.meanwhile()
            if to.fault is not None:
                raise to.fault
            return min(to.takes, len(data))

        monkeypatch.setattr(flusher_module, name, send)


@live
async def test_turns_come_in_the_order_of_asking_and_not_at_once() -> None:
    flusher, had = Flusher(), list[int]()
    for number in range(3):
        flusher.ask(Asker(had.append, number))
    assert had == []
    await asyncio.sleep(0)
    assert had == [0, 1, 2]
    flusher.ask(Asker(had.append, 3))
    await asyncio.sleep(0)
    assert had == [0, 1, 2, 3]


@live
async def test_a_turn_that_raises_takes_nobody_elses(caplog: pytest.LogCaptureFixture) -> None:
    flusher, had = Flusher(), list[int]()
    flusher.ask(Asker(lambda _: 1 / 0))
    flusher.ask(Asker(had.append, 1))
    await asyncio.sleep(0)
    assert had == [1]
    assert "[write-failed]" in caplog.text


@live
async def test_whoever_could_not_send_all_is_told() -> None:
    flusher, askers = Flusher(), [Asker(data=b"123") for _ in range(6)]
    askers[1].to.takes = 2
    askers[2].to.fault = BlockingIOError()
    askers[3].to.fault = ConnectionResetError()
    askers[4].data = b""
    for asker in askers:
        flusher.ask(asker)
    await asyncio.sleep(0)
    assert [asker.kept_back for asker in askers] == [[], [(b"123", 2)], [(b"123", 0)], [(b"123", None)], [], []]
    assert [len(asker.to.held) for asker in askers] == [1, 1, 1, 1, 0, 1]


@live
async def test_others_have_the_loop_between_slices() -> None:
    now, had = 0.0, list[int]()

    def late() -> None:
        nonlocal now
        now += SLICE / LOOK + 1e-6

    flusher = Flusher(lambda: now)
    flusher._keep_until = 1e9  # not to be probed
    for number in range(3 * LOOK):
        asker = Asker(had.append, number)
        asker.to.meanwhile = late
        flusher.ask(asker)
    seen = []
    for _ in range(3):
        await asyncio.sleep(0)
        seen.append(len(had))
    assert seen == [LOOK, 2 * LOOK, 3 * LOOK]
    assert had == list(range(3 * LOOK))


@live
async def test_where_a_send_waits_for_the_lock_the_others_hold_it() -> None:
    now = 0.0
    flusher = Flusher(lambda: now)

    async def flush(*seconds: float) -> list[bool]:
        def take(each: float) -> None:
            nonlocal now
            now += each

        askers = [Asker() for _ in seconds]
        for asker, each in zip(askers, seconds, strict=True):
            asker.to.meanwhile = partial(take, each)
            flusher.ask(asker)
        for _ in range(3):
            await asyncio.sleep(0)
        return [held for asker in askers for held in asker.to.held]

    wait = sys.getswitchinterval()
    assert await flush(wait, 0, wait, wait) == [False] * 4, "a core may be taken away at any time"
    assert await flush(wait, wait, 0, 0) == [False, False, True, True]
    now += MEMORY / 2
    assert await flush(wait, wait, 0) == [True, True, True], "one that is held has no lock to wait for"
    now += MEMORY / 2
    assert await flush(0, 0, 0) == [False, False, False], "nor is it held for ever"
