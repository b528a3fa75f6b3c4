"""The lobby: who is here, who can be reached, and that nobody is forgotten when it empties."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from tornado.iostream import IOStream

from sqla_realtime.hub.connection import Connection, several
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.settings import Settings
from sqla_realtime.transports.lobby import SLICE, Lobby
from tests.support.scene import live

NOBODY: Any = None


def house() -> House:
    return House(NOBODY, NOBODY, NOBODY, ping_interval=25.0, subscriptions=1, max_errors=1, explain=False)


def lobby(**settings: Any) -> Lobby:
    return Lobby(house(), NOBODY, {"v1": V1()}, Settings(**settings))


def guest(name: str) -> Conversation:
    made = Conversation(house(), Connection(V1(), 1000), Handshake())
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


def goodbye(each: Conversation) -> dict[str, Any]:
    [data] = several(each.connection.drain())
    message: dict[str, Any] = json.loads(data)
    return message


@live
async def test_each_is_told_a_moment_of_its_own_and_whoever_comes_later_too() -> None:
    here, early, late = lobby(restart_window=30), [guest(str(number)) for number in range(50)], guest("late")
    for each in early:
        here.enter(each, NOBODY)
    await here.dismiss(CloseCode.RESTARTING)
    here.enter(late, NOBODY)
    told = [goodbye(each)["retry_after_ms"] for each in [*early, late]]
    assert len(set(told)) > 40
    assert 0 <= min(told) < 10_000
    assert 20_000 < max(told) <= 30_000
    assert all(each.connection.close_code is CloseCode.RESTARTING for each in [*early, late])
    assert len(here.census) == len(early), "who came later was never let in"


@live
async def test_the_window_grows_with_the_clients_and_the_loop_is_not_held() -> None:
    here = lobby(handshake_rate=10, restart_window=2)
    guests = [guest(str(number)) for number in range(1000)]
    for each in guests:
        here.enter(each, NOBODY)
    saying, turns = asyncio.ensure_future(here.dismiss(CloseCode.RESTARTING)), 0
    while not saying.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 1000 // SLICE
    told = [goodbye(each)["retry_after_ms"] for each in guests]
    assert 90_000 < max(told) <= 100_000
    assert 40_000 < sum(told) / len(told) < 60_000, "spread evenly"


@live
async def test_one_too_many_is_told_so_and_a_place_that_is_left_is_free() -> None:
    here, guests = lobby(connections=2), [guest(str(number)) for number in range(5)]
    for each in guests[:3]:
        here.enter(each, NOBODY)
    told = goodbye(guests[2])
    assert (told["code"], told["reason"]) == (4504, "too-many-connections")
    assert 0 <= told["retry_after_ms"] <= 2000
    here.leave(guests[2])
    assert len(here.census) == 2
    here.leave(guests[0])
    here.enter(guests[3], NOBODY)
    assert guests[3].connection.close_code is None
    for each in guests:
        here.leave(each)
    assert not here.census
    assert not here._silent


@live
async def test_of_those_who_are_silent_the_one_who_has_been_so_for_longest_goes() -> None:
    here, guests = lobby(unadmitted=2), [guest(str(number)) for number in range(6)]
    for each in guests:
        each.greeted = each.connection.id in "023"
        here.enter(each, NOBODY)
    assert [each.connection.close_code for each in guests] == [None, 4503, None, None, None, None]
    assert list(here._silent) == [guests[4], guests[5]]


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
