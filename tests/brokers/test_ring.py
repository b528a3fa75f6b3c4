"""The ring: every follower gets every entry, is woken once for many, and is no trouble when its loop has gone."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from sqla_realtime.brokers.ring import Ring
from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.history import Bounds
from tests.brokers.contract import commit, take


def at(offset: int) -> Position:
    return Position("e", offset)


def entries(*numbers: int) -> list[Entry]:
    return [Entry(at(number), commit(number)) for number in numbers]


async def wait(event: asyncio.Event) -> None:
    await event.wait()


def test_what_is_added_together_wakes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        ring = Ring(at(0), Bounds())
        loop: Any = asyncio.get_running_loop()
        calls: list[object] = []
        original = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda call: calls.append(call) or original(call))
        async with aclosing(ring.follow(at(0), wait)) as found:
            reading = asyncio.ensure_future(take(found, 4))
            await asyncio.sleep(0)
            ring.extend(entries(1, 2))
            ring.extend(entries(3))
            ring.wake()
            assert len(calls) == 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            ring.extend(entries(4))
            assert [entry.position for entry in await reading] == [at(1), at(2), at(3), at(4)]
        assert not ring.followed

    asyncio.run(scene())


def test_a_ring_that_begins_anew_tells_whoever_follows() -> None:
    async def scene() -> None:
        ring = Ring(at(0), Bounds())
        async with aclosing(ring.follow(at(0), wait)) as found:
            ring.extend(entries(1))
            await take(found, 1)
            reading = asyncio.ensure_future(take(found, 1))
            await asyncio.sleep(0)
            ring.begin(Position("f", 9))
            with pytest.raises(PositionGone):
                await reading
        assert (ring.head, ring.held()) == (Position("f", 9), [])

    asyncio.run(scene())


def test_bounds_can_be_changed() -> None:
    ring = Ring(at(0), Bounds())
    ring.extend(entries(1, 2))
    ring.bounds = Bounds(count=1)
    ring.extend(entries(3))
    assert (ring.held(), ring.bounds.count) == (entries(3), 1)


def test_a_follower_whose_loop_was_closed_disturbs_nobody() -> None:
    ring = Ring(at(0), Bounds())
    loop = asyncio.new_event_loop()
    found = ring.follow(at(0), wait)
    reading = loop.create_task(anext(found))  # type: ignore[arg-type]
    loop.run_until_complete(asyncio.sleep(0))
    reading.cancel()
    follower = next(iter(ring._followers))
    loop.run_until_complete(loop.shutdown_asyncgens())
    ring._followers[follower] = None
    loop.close()
    ring.extend(entries(1))
    assert ring.head == at(1)
