"""The flusher: whoever asked has its turn, in order; nobody's mistake is another's, and a slice ends in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from sqla_realtime.transports.flusher import LOOK, SLICE, Flusher
from tests.support.scene import live


class Asker:
    """Does something with a number when it is its turn."""

    def __init__(self, act: Callable[[int], object], number: int) -> None:
        self.act = act
        self.number = number

    def turn(self, now: float) -> None:
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
    def clock() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += SLICE + 0.001  # every look is too late

    ticks, had = clock(), list[int]()
    flusher = Flusher(lambda: next(ticks))
    for number in range(3 * LOOK):
        flusher.ask(Asker(had.append, number))
    seen = []
    for _ in range(3):
        await asyncio.sleep(0)
        seen.append(len(had))
    assert seen == [LOOK, 2 * LOOK, 3 * LOOK]
    assert had == list(range(3 * LOOK))
