"""The feed: in order from the log to the hub, back after every loss, a jump after every gap, and no silence in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sqla_realtime.commit import Change, Position
from sqla_realtime.errors import LogUnreachable, PositionGone
from sqla_realtime.hub.feed import RETRY_BASE, RETRY_CAP, Feed
from sqla_realtime.hub.hub import Hub
from tests.hub.fakes import Client, ScriptedBroker, at, join, make_hub, put
from tests.support.virtual import run


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    task = asyncio.ensure_future(feed.run())
    try:
        yield
        assert not task.done(), "the feed has ended, and nobody noticed"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def parts(offset: int = 0) -> tuple[ScriptedBroker, Hub, Feed]:
    broker, hub = ScriptedBroker(offset), make_hub(offset)
    return broker, hub, Feed(broker, hub)


async def within(seconds: float, awaited: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(seconds):
        await awaited


def test_it_carries_entries_in_order_from_the_hubs_position() -> None:
    async def scene() -> None:
        broker, hub, feed = parts(5)
        client = Client()
        join(hub, client, "a")
        async with running(feed):
            for value in (1, 2):
                broker.add(put("a", 1, value))
            await feed.reached(at(7))
            broker.add(put("a", 1, 3))
            await feed.reached(at(8))
        assert broker.followed == [at(5)]
        assert [message["commit"] for message in client.heard()] == ["e.6", "e.7", "e.8"]

    run(scene())


def test_a_position_that_is_reached_already_is_not_waited_for() -> None:
    async def scene() -> None:
        _, _, feed = parts(5)
        await feed.reached(at(5))
        await feed.reached(at(4))
        with pytest.raises(TimeoutError):
            await within(100, feed.reached(at(6)))

    run(scene())


def test_whoever_waits_for_a_position_does_not_do_so_for_ever_while_nothing_comes() -> None:
    async def scene() -> None:
        broker, hub = ScriptedBroker(5), make_hub(5)
        feed = Feed(broker, hub, patience=2.0)
        async with running(feed):
            waiting = asyncio.ensure_future(feed.reached(at(9)))
            for _ in range(3):
                await asyncio.sleep(1.5)
                broker.add(put("a", 1))
            with pytest.raises(LogUnreachable):
                await waiting
            assert hub.position == at(8), "as long as anything came it was waited for"

    run(scene())


def test_after_a_lost_connection_it_follows_from_the_last_entry(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        broker, hub, feed = parts()
        client = Client()
        join(hub, client, "a")
        async with running(feed):
            broker.add(put("a", 1))
            await feed.reached(at(1))
            broker.fail(ConnectionError())
            broker.add(put("a", 2))
            await feed.reached(at(2))
        assert broker.followed == [at(0), at(1)]
        assert [message["commit"] for message in client.heard()] == ["e.1", "e.2"]

    run(scene())
    assert "[log-lost]" in caplog.text


def test_it_comes_back_ever_more_slowly_and_not_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[float, float]] = []
    monkeypatch.setattr("random.uniform", lambda low, high: spans.append((low, high)) or high)

    async def scene() -> None:
        broker, _, feed = parts()
        broker.faults = [ConnectionError() for _ in range(30)]
        async with running(feed):
            await asyncio.sleep(1000)
            assert len(spans) == 30
            assert spans[:4] == [(0, RETRY_BASE * factor) for factor in (1, 2, 4, 8)]
            assert spans[-1] == (0, RETRY_CAP)
            broker.add()
            await feed.reached(at(1))
            broker.fail(ConnectionError())
            await asyncio.sleep(1000)
            assert spans[-1] == (0, RETRY_BASE), "what it got in between counts as success"

    run(scene())


def test_after_a_gap_everybody_loads_anew_and_it_goes_on_from_the_head(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        broker, hub, feed = parts()
        client = Client()
        join(hub, client, "a")
        async with running(feed):
            broker.add()
            await feed.reached(at(1))
            broker.position = Position("f", 7)
            broker.fail(PositionGone(position=at(1)))
            await within(10, feed.reached(Position("f", 7)))
            await asyncio.sleep(1)
            assert hub.position == ("f", 7)
            assert [message["type"] for message in client.heard()] == ["reset"]
            broker.entries.clear()
            broker.add()
            await within(10, feed.reached(Position("f", 8)))
        assert broker.followed == [at(0), Position("f", 7)]

    run(scene())
    assert "[position-gone]" in caplog.text


def test_a_head_that_cannot_be_read_after_a_gap_is_asked_again() -> None:
    async def scene() -> None:
        broker, hub, feed = parts()
        broker.position = Position("f", 7)
        broker.head_faults = [ConnectionError(), ConnectionError()]
        async with running(feed):
            await asyncio.sleep(100)
            assert hub.position == ("f", 7)

    run(scene())


def test_whoever_waits_for_a_position_of_another_log_waits_no_longer() -> None:
    async def scene() -> None:
        broker, hub, feed = parts()
        async with running(feed):
            waiting = asyncio.ensure_future(feed.reached(at(1000)))
            await asyncio.sleep(1)
            assert not waiting.done()
            broker.position = Position("f", 7)
            broker.fail(PositionGone(position=at(0)))
            await asyncio.wait_for(waiting, 100)
            assert hub.position == ("f", 7)

    run(scene())


def test_a_commit_that_cannot_be_sent_is_told_as_a_reset_and_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        broker, hub, feed = parts()
        clients = [Client(), Client()]
        for client in clients:
            join(hub, client, "a")
        async with running(feed):
            broker.add(put("a", 1))
            broker.add(Change("a", "destroy", "Row", "\ud800"))
            await feed.reached(at(2))
            for client in clients:
                assert [message.get("type", "commit") for message in client.heard()] == ["commit", "reset"]
            assert hub.resume(clients[0].connection, 1, {"a": "a"}, at(1)) == ["a"], "it must not be resumed past"
            join(hub, clients[0], "a")
            broker.add(put("a", 2))
            await feed.reached(at(3))
            assert [message["commit"] for message in clients[0].heard()] == ["e.3"]
        assert broker.followed == [at(0)]

    run(scene())
    assert "[dispatch-failed]" in caplog.text
