"""The flusher: whoever asked has its turn, in order; nobody's mistake is another's, and a slice ends in time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest

from sqla_realtime.transports.flusher import LOOK, MEMORY, SLICE, Flusher
from tests.support.scene import live


class Asker:
    """Does something with a number when it is its turn."""

    def __init__(self, act: Callable[[int], object], number: int) -> None:
        self.act = act
        self.number = number
        self.held: list[bool] = []

    def turn(self, now: float, hold: bool) -> None:
        self.held.append(hold)
        self.act(self.number)


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
    flusher.ask(Asker(lambda _: 1 / 0, 0))
    flusher.ask(Asker(had.append, 1))
    await asyncio.sleep(0)
    assert had == [1]
    assert "[write-failed]" in caplog.text


@live
async def test_others_have_the_loop_between_slices() -> None:
    now, had = 0.0, list[int]()

    def write(number: int) -> None:
        nonlocal now
        had.append(number)
        if number % LOOK == LOOK - 1:
            now += SLICE + 0.001  # every look but the first is too late

    flusher = Flusher(lambda: now)
    for number in range(3 * LOOK):
        flusher.ask(Asker(write, number))
    seen = []
    for _ in range(3):
        await asyncio.sleep(0)
        seen.append(len(had))
    assert seen == [LOOK, 2 * LOOK, 3 * LOOK]
    assert had == list(range(3 * LOOK))


@live
async def test_where_a_write_waits_for_the_lock_the_others_hold_it() -> None:
    now = 0.0

    def take(seconds: float) -> None:
        nonlocal now
        now += seconds

    flusher = Flusher(lambda: now)

    async def flush(*seconds: float) -> list[bool]:
        askers = [Asker(take, each) for each in seconds]  # type: ignore[arg-type]
        for asker in askers:
            flusher.ask(asker)
        await asyncio.sleep(0)
        return [held for asker in askers for held in asker.held]

    wait = sys.getswitchinterval()
    assert await flush(wait, 0, wait, wait) == [False] * 4, "a core may be taken away at any time"
    assert await flush(wait, wait, 0, 0) == [False, False, True, True]
    now += MEMORY / 2
    assert await flush(wait, wait, 0) == [True, True, True], "one that is held has no lock to wait for"
    now += MEMORY / 2
    assert await flush(0, 0, 0) == [False, False, False], "nor is it held for ever"
