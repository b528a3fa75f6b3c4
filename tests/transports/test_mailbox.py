"""A connection over requests: what waits, whose turn it is, and when nobody will come any more."""

from __future__ import annotations

import asyncio

import pytest

from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.pusher import Pusher
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.transports import mailbox
from sqla_realtime.transports.flusher import Flusher
from sqla_realtime.transports.mailbox import Mailbox
from tests.support.scene import eventually, live


class Request:
    """One that takes; whether it was dropped."""

    dropped = False

    def drop(self) -> None:
        self.dropped = True


class Box(Mailbox):
    """One that has begun; ``said`` is what it was given to receive, ``ends`` how often it was over."""

    def __init__(self, budget: int = 1000) -> None:
        super().__init__(Pusher(lambda channel: True), budget)
        self.said: list[str] = []
        self.ends = 0
        self.begin(Flusher(), self.said.append, self._ended)

    def _ended(self) -> None:
        self.ends += 1


@live
async def test_what_comes_ends_the_request_that_waits() -> None:
    box, request = Box(), Request()
    box.send(b"a\nb")
    box.send(b"")
    box.send(b"c")
    assert await box.take(request, 5) == [b"a", b"b", b"c"]
    assert box.pending == 0
    waiting = asyncio.create_task(box.take(request, None))
    await eventually(lambda: box.polled)
    box.send(b"d")
    assert await waiting == [b"d"]
    assert not box.polled
    box.receive("x")
    assert box.said == ["x"]


@live
async def test_patience_ends_with_nothing() -> None:
    assert await Box().take(Request(), 0.01) == []


@live
async def test_a_later_request_takes_the_place_of_an_earlier_one() -> None:
    box, first, second = Box(), Request(), Request()
    taking = asyncio.create_task(box.take(first, None))
    await eventually(lambda: box.polled)
    later = asyncio.create_task(box.take(second, None))
    assert await taking is None
    # What becomes of the first one is nothing to the session any more.
    box.pause(first)
    box.cut(first)
    box.send(b"a")
    assert await later == [b"a"]
    assert box.ends == 0
    box.cut(second)
    assert box.ends == 1


@live
async def test_who_stays_away_is_gone_and_who_comes_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    box, request = Box(), Request()
    monkeypatch.setattr(mailbox, "AWAY", 0)
    box.pause(request)
    assert await box.take(request, 0.01) == []
    box.pause(request)
    assert await box.take(request, 0.01) == []
    assert box.ends == 0
    box.pause(request)
    await eventually(lambda: box.ends == 1)
    box.end()
    assert box.ends == 1


@pytest.mark.parametrize("waits", [True, False])
@live
async def test_the_end_is_told_to_who_waits_and_to_nobody_else(waits: bool) -> None:
    box, request = Box(), Request()
    if waits:
        taking = asyncio.create_task(box.take(request, None))
        await eventually(lambda: box.polled)
        box.close(PusherCode.RECONNECT)
        assert await taking is None
        box.pause(request)
    else:
        assert await box.take(request, 0.01) == []
        box.pause(request)
        box.close(PusherCode.RECONNECT)
        assert box.ends == 0  # whoever closes it may be walking through what that changes
        await asyncio.sleep(0)
    assert box.ends == 1


@live
async def test_what_was_said_before_the_end_comes_first() -> None:
    box, request = Box(), Request()
    assert await box.take(request, 0.01) == []
    box.send(b"a")
    box.close(PusherCode.UNAUTHORIZED)
    first = await box.take(request, None)
    assert first is not None
    assert (first[0], len(first)) == (b"a", 2)
    assert await box.take(request, None) is None


@live
async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """Its request has been given something and has not come back for more."""
    box, request = Box(budget=10), Request()
    box.send(b"a")
    assert await box.take(request, None) == [b"a"]
    for _ in range(3):
        box.send(b"0123456789")
    assert box.close_code is CloseCode.SLOW_CONSUMER
    assert request.dropped
    box.cut(request)
    assert box.ends == 1


@live
async def test_who_never_comes_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "AWAY", 0)
    box = Box()
    await eventually(lambda: box.ends == 1)
