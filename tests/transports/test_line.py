"""The line: first come first served at the rate, bounded, and whoever leaves it leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.pace import Bucket
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.transports.line import Line
from tests.support.virtual import run


def line(rate: float = 10.0, burst: int = 2, room: int = 3) -> Line:
    return Line(Bucket(rate, burst, asyncio.get_running_loop().time), room)


def place(made: Line) -> asyncio.Future[bool]:
    joined = made.join()
    assert joined is not None
    return joined


async def through(made: Line, log: list[tuple[int, float]], number: int) -> None:
    joined = made.join()
    if joined is None or await joined:
        log.append((number, round(asyncio.get_running_loop().time(), 3)))


def test_a_burst_goes_through_the_next_wait_in_order_and_the_rest_is_sent_away() -> None:
    async def scene() -> None:
        made, log = line(), list[tuple[int, float]]()
        tasks = [asyncio.ensure_future(through(made, log, number)) for number in range(5)]
        await asyncio.sleep(0)
        assert not made.busy
        with pytest.raises(Refused) as refused:
            made.join()
        assert refused.value.code == ErrorCode.TOO_BUSY
        assert made.busy
        await asyncio.gather(*tasks)
        assert log == [(0, 0.0), (1, 0.0), (2, 0.1), (3, 0.2), (4, 0.3)]
        assert not made.busy
        assert made._timer is None
        await asyncio.sleep(10)
        assert [made.join() for _ in range(2)] == [None, None]

    run(scene())


def test_whoever_leaves_makes_room_and_takes_no_turn() -> None:
    async def scene() -> None:
        made = line(burst=1)
        assert made.join() is None
        first, second, third = (place(made) for _ in range(3))
        made.leave(first)
        made.leave(first)
        assert first.result() is False
        last = place(made)
        assert await second
        assert asyncio.get_running_loop().time() == pytest.approx(0.1)
        made.leave(second)  # after its turn
        for each in (third, last):
            made.leave(each)
        assert len(made) == 0
        assert made._timer is None, "nobody waits, so nothing ticks"

    run(scene())


def test_after_a_close_nobody_waits() -> None:
    async def scene() -> None:
        made = line(burst=1)
        made.join()
        waiting = [place(made) for _ in range(3)]
        made.close()
        assert [await each for each in waiting] == [True] * 3
        assert made._timer is None
        assert [made.join() for _ in range(9)] == [None] * 9

    run(scene())
