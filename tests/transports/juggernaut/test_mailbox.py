"""A connection that is polled: what waits, who waits, and when nobody will come any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.juggernaut import NO_SESSION, NOOP, Juggernaut
from sqla_realtime.transports.juggernaut.gone import Gone
from sqla_realtime.transports.juggernaut.mailbox import Mailbox
from tests.support.scene import eventually, live
from tests.support.socketio import Site, poller

Make = Callable[..., Site]


async def box_of(site: Make, **settings: Any) -> Mailbox:
    """The server's end of a session, on this loop."""
    made = site(**settings)
    server = made.server
    return Mailbox(Juggernaut(lambda channel, cls: None), server._lobby, Gone(server.hub))


@live
async def test_what_comes_ends_the_poll_that_waits(site: Make) -> None:
    box = await box_of(site)
    box.send(b"a\nb")
    box.send(b"")
    box.send(b"c")
    assert await box.collect(5) == [b"a", b"b", b"c"]
    assert box.pending == 0
    waiting = asyncio.create_task(box.collect(5))
    await eventually(lambda: box.polled)
    box.send(b"d")
    assert await waiting == [b"d"]
    assert not box.polled


@live
async def test_patience_ends_with_nothing(site: Make) -> None:
    box = await box_of(site)
    assert await box.collect(0.01) == [NOOP]


@live
async def test_a_later_poll_takes_the_place_of_an_earlier_one(site: Make) -> None:
    box = await box_of(site)
    first = asyncio.create_task(box.collect(5))
    await eventually(lambda: box.polled)
    second = asyncio.create_task(box.collect(5))
    assert await first == [NOOP]
    box.send(b"a")
    assert await second == [b"a"]


@pytest.mark.parametrize("waits", [True, False])
@live
async def test_the_end_is_told_to_who_waits_and_to_nobody_else(site: Make, waits: bool) -> None:
    box = await box_of(site)
    over: list[bool] = []
    box.over = lambda: over.append(True)
    waiting = asyncio.create_task(box.collect(5))
    if waits:
        await eventually(lambda: box.polled)
        box.close(CloseCode.RESTARTING)
        assert await waiting == [NO_SESSION]
    else:
        waiting.cancel()
        box.close(CloseCode.RESTARTING)
        assert over == []  # whoever closes it may be walking through what that changes
        await asyncio.sleep(0)
    assert over == [True]


@live
async def test_a_session_goes_with_its_poll_of_old(site: Make) -> None:
    made = site()
    client = await poller(made.port)
    first = asyncio.create_task(client.poll())
    await eventually(lambda: len(made.polled) == 1)
    second = asyncio.create_task(client.poll())
    assert await first == ["8::"]
    assert await client.say("0::") == "1"
    second.cancel()
