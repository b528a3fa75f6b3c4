"""The lobby: who is here, who can be reached, and that nobody is forgotten when it empties."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tornado.iostream import IOStream

from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.settings import Settings
from sqla_realtime.transports.lobby import Lobby
from tests.support.scene import live

NOBODY: Any = None


def lobby() -> Lobby:
    return Lobby(NOBODY, NOBODY, {"v1": V1()}, Settings())


def guest(name: str) -> Conversation:
    house = House(NOBODY, NOBODY, NOBODY, ping_interval=25.0, subscriptions=1, max_errors=1, explain=False)
    made = Conversation(house, Connection(V1(), 1000), Handshake())
    made.connection.id = name
    return made


@live
async def test_the_latest_stream_of_an_id_is_reached() -> None:
    here, first, second, third = lobby(), guest("a"), guest("a"), guest("b")
    for each in (first, second):
        here.enter(each, NOBODY, reachable=True)
    here.enter(third, NOBODY)
    assert here.find("a") is second
    assert here.find("b") is None, "it can speak for itself"
    here.leave(first)
    assert here.find("a") is second, "the end of an earlier stream is not the end of the later one"
    for _ in range(2):
        here.leave(second)
    assert here.find("a") is None
    assert list(here.conversations) == [third]


@live
async def test_whoever_comes_after_the_dismissal_is_told_too() -> None:
    here, early, late = lobby(), guest("a"), guest("b")
    here.enter(early, NOBODY)
    here.dismiss(CloseCode.RESTARTING, 2000)
    here.enter(late, NOBODY)
    for each in (early, late):
        assert each.connection.close_code is CloseCode.RESTARTING
        [goodbye] = each.connection.drain()
        assert b'"retry_after_ms":2000' in goodbye


@live
async def test_empty_is_when_the_last_has_left() -> None:
    here, guests = lobby(), [guest("a"), guest("b")]
    await here.emptied()
    for each in guests:
        here.enter(each, NOBODY)
    waiting = asyncio.ensure_future(here.emptied())
    await asyncio.sleep(0)
    here.leave(guests[0])
    await asyncio.sleep(0)
    assert not waiting.done()
    here.leave(guests[1])
    await waiting


@live
async def test_drop_cuts_and_a_fork_lets_go() -> None:
    here = lobby()
    pairs = [socket.socketpair() for _ in range(2)]
    streams = [IOStream(ours) for ours, _ in pairs]
    here.enter(guest("a"), streams[0])
    here.drop()
    assert pairs[0][1].recv(1) == b""
    assert streams[0].closed()
    here.leave(next(iter(here.conversations)))
    here.enter(guest("b"), streams[1])
    here.abandon()
    assert streams[1].socket.fileno() == -1
    assert not streams[1].closed(), "the parent's loop must not notice"
    for _, theirs in pairs:
        theirs.close()
