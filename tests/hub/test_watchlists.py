"""Watchlists: who has signed in is online, until it has been away for a while, and its watchers are told."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.hub.pusher_stage import Caller, PusherStage
from tests.hub.test_pusher_conversation import play

SIGNED, EVENTS = "pusher:signin_success", "pusher_internal:watchlist_events"


def told(caller: Caller) -> list[dict[str, Any]]:
    """What a client has been told of those whom it watches."""
    heard = caller.heard()
    assert {name for name, _, _ in heard} <= {SIGNED, EVENTS}
    return [event for name, channel, data in heard if name == EVENTS and channel is None for event in data["events"]]


def turn(name: str, *users: str) -> dict[str, Any]:
    return {"name": name, "user_ids": [*users]}


def test_whoever_watches_is_told_who_is_online_and_who_comes_and_goes() -> None:
    async def scene(stage: PusherStage) -> None:
        ann, bob, tab, eve = (stage.client() for _ in range(4))
        await bob.sign_in("bob")
        await ann.sign_in("ann", watchlist=["bob", "cid", "dan"])
        assert told(ann) == [turn("online", "bob"), turn("offline", "cid", "dan")]
        await eve.sign_in("eve")
        await tab.sign_in("cid", watchlist=["ann"])
        assert told(ann) == [turn("online", "cid")]
        assert told(tab) == [turn("online", "ann")]
        tab.conversation.end()
        again = stage.client()
        await again.sign_in("cid")
        await asyncio.sleep(9)
        assert told(ann) == [], "it was back at once"
        again.conversation.end()
        bob.conversation.end()
        await asyncio.sleep(9)
        assert told(ann) == [turn("offline", "cid"), turn("offline", "bob")]
        assert (told(bob), told(eve), told(tab)) == ([], [], [])
        for each in (ann, tab):
            each.conversation.end()
        watchlists = next(iter(stage.desks))._watchlists
        assert watchlists is not None
        assert watchlists._watched == {}
        assert watchlists._watchers == {}

    play(scene, watchlists=True)


def test_another_sign_in_brings_another_list() -> None:
    async def scene(stage: PusherStage) -> None:
        ann, bob = stage.client(), stage.client()
        await ann.sign_in("ann", watchlist=["bob"])
        await ann.sign_in("ann", watchlist=["cid", "bob"])
        await ann.sign_in("ann", watchlist=["cid"])
        assert told(ann) == [turn("offline", "bob"), turn("offline", "cid", "bob"), turn("offline", "cid")]
        await bob.sign_in("bob")
        assert told(ann) == []

    play(scene, watchlists=True)


def test_who_watches_too_many_is_told_so_and_watches_nobody() -> None:
    async def scene(stage: PusherStage) -> None:
        ann, bob = stage.client(), stage.client()
        await ann.sign_in("ann", watchlist=[f"user {number}" for number in range(101)])
        assert ann.heard()[1:] == [("pusher:error", None, {"code": 4302, "message": "A client may watch 100 users."})]
        assert ann.code is None
        await bob.sign_in("user 1", watchlist=[f"user {number}" for number in range(100)])
        assert [len(each["user_ids"]) for each in told(bob)] == [1, 99]
        assert told(ann) == []

    play(scene, watchlists=True)


def test_nobody_watches_where_that_is_off() -> None:
    async def scene(stage: PusherStage) -> None:
        ann, bob = stage.client(), stage.client()
        await ann.sign_in("ann", watchlist=["bob"] * 101)
        await bob.sign_in("bob")
        assert (ann.names(), bob.names()) == ([SIGNED], [SIGNED])
        ann.conversation.end()

    play(scene)
