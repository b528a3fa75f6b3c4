"""The desk: last words for whoever comes later, counts, crowds, and whom signed data speaks of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sqla_realtime.commit import Event
from sqla_realtime.hub.presence import Presence
from sqla_realtime.hub.pusher import Desk, Desks
from sqla_realtime.protocol import pusher
from tests.hub.pusher_stage import FakeApp, PusherStage
from tests.hub.test_pusher_conversation import IN, play
from tests.support.virtual import run


def test_a_channel_that_remembers() -> None:
    async def scene(stage: PusherStage) -> None:
        first, second = stage.client(), stage.client()
        await first.join("private-cache-no")
        assert [name for name, _, _ in first.heard()] == [IN, "pusher:cache_miss"]
        stage.publish(Event("1", "private-cache-no", "news", "1"))
        stage.publish(Event("1", "private-cache-no", "client-x", "2"))
        stage.publish(Event("1", "private-no", "news", "3"))
        await second.join("private-cache-no")
        await second.join("private-no")
        assert second.heard() == [(IN, "private-cache-no", {}), ("news", "private-cache-no", 1), (IN, "private-no", {})]

    play(scene)


def test_a_room_is_told_how_many_are_in_it_not_too_often() -> None:
    async def scene(stage: PusherStage) -> None:
        clients = [stage.client() for _ in range(3)]
        for each in clients:
            await each.join("open,1")
            await each.join("presence-no", "ann")
        clients[0].heard()
        await asyncio.sleep(2)
        assert clients[0].heard() == [("pusher_internal:subscription_count", "open,1", {"subscription_count": 3})]
        clients[1].conversation.end()
        await asyncio.sleep(2)
        assert clients[0].heard() == [("pusher_internal:subscription_count", "open,1", {"subscription_count": 2})]
        clients[2].conversation.end()
        stage.desks.close()
        await asyncio.sleep(9)
        assert clients[0].heard() == [], "the server has ended"

    play(scene, subscription_count=True)


def test_nobody_is_counted_where_nobody_asked_for_it() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        await client.join("open,1")
        await asyncio.sleep(9)
        assert client.names() == [IN]

    play(scene)


def test_however_often_somebody_comes_the_others_are_spelled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a thousand members that took a client long enough to keep everybody else from being served."""
    count = [0]
    known = pusher.known
    monkeypatch.setattr(pusher, "known", lambda *member: count.append(0) or known(*member))  # type: ignore[func-returns-value]

    async def scene(stage: PusherStage) -> None:
        first, second = stage.client(), stage.client()
        for _ in range(3):
            await first.join("presence-no", "ann")
            await second.join("presence-no", "bob")
        assert len(count) == 1 + 2
        await first.say("pusher:unsubscribe", {"channel": "presence-no"})
        second.heard()
        await second.join("presence-no", "bob")
        assert second.heard()[0][2]["presence"]["ids"] == ["bob"]
        await second.say("pusher:unsubscribe", {"channel": "presence-no"})
        assert next(iter(stage.desks))._known == {}

    play(scene)


def test_a_crowd_is_refused() -> None:
    async def scene(stage: PusherStage) -> None:
        desk = stage.desks.of_id("1")
        assert desk is not None
        desk.presence = Presence(desk._announce, most=1)
        first, second = stage.client(), stage.client()
        await first.join("presence-no", "ann")
        await second.join("presence-no", "bob")
        assert (first.names(), second.names()) == ([IN], ["pusher:subscription_error"])
        assert desk.users("presence-no") == ["ann"]
        assert list(desk.rooms.inside("presence-no")) == [first.connection]

    play(scene)


def test_an_application_is_told_who_comes_and_goes() -> None:
    async def scene(stage: PusherStage) -> None:
        desk = next(iter(stage.desks))
        told: list[tuple[str, str]] = []
        desk.hook = lambda event: told.append((event["name"], event.get("user_id", event["channel"])))
        ann, again = stage.client(), stage.client()
        await ann.sign_in("ann")
        await ann.join("#server-to-user-ann")
        await ann.join("presence-no", "ann")
        await ann.say("client-a", 1, channel="presence-no")
        ann.conversation.end()
        await again.join("presence-no", "ann")
        await asyncio.sleep(9)
        assert told == [("member_added", "ann"), ("channel_occupied", "presence-no"), ("client_event", "ann")]
        again.conversation.end()
        await asyncio.sleep(9)
        assert sorted(told[3:]) == [("channel_vacated", "presence-no"), ("member_removed", "ann")]

    play(scene)


SERVERS = 3


def play_several(scene: Callable[[list[PusherStage]], Coroutine[Any, Any, None]], **settings: bool) -> None:
    """A scene with several servers on one log, each of which knows of the others."""

    async def whole() -> None:
        log: list[PusherStage] = []
        for _ in range(SERVERS):
            PusherStage(log, **settings)
        await asyncio.sleep(2)
        await scene(log)

    run(whole())


def hooked(servers: list[PusherStage]) -> list[tuple[str, ...]]:
    """What the application was told, by whomever."""
    told = sorted(each for server in servers for each in server.hooked)
    for server in servers:
        server.hooked.clear()
    return told


def desks(servers: list[PusherStage]) -> list[Desk]:
    return [next(iter(server.desks)) for server in servers]


def test_members_are_those_of_all_servers() -> None:
    async def scene(servers: list[PusherStage]) -> None:
        ann, bob, tab, cid = (servers[number].client() for number in (0, 1, 2, 2))
        await ann.join("presence-no", "ann")
        await asyncio.sleep(2)
        await bob.join("presence-no", "bob")
        await tab.join("presence-no", "ann")
        await cid.join("presence-no", "cid", user_info={"color": "red"})
        await asyncio.sleep(2)
        roster = bob.heard()
        assert roster[0][2]["presence"]["hash"] == {"ann": {"name": "Ann"}, "bob": {"name": "Bob"}}
        added = ("pusher_internal:member_added", "presence-no", {"user_id": "cid", "user_info": {"color": "red"}})
        assert roster[1:] == [added]
        assert [sorted(desk.users("presence-no")) for desk in desks(servers)] == [["ann", "bob", "cid"]] * SERVERS
        assert [desk.count("presence-no") for desk in desks(servers)] == [4] * SERVERS
        await ann.say("pusher:unsubscribe", {"channel": "presence-no"})
        cid.conversation.end()
        await asyncio.sleep(9)
        assert bob.heard() == [("pusher_internal:member_removed", "presence-no", {"user_id": "cid"})]
        assert hooked(servers) == [
            ("channel_occupied", "presence-no"),
            *(("member_added", "presence-no", user) for user in ("ann", "bob", "cid")),
            ("member_removed", "presence-no", "cid"),
        ]

    play_several(scene)


def test_connections_are_counted_over_all_servers() -> None:
    async def scene(servers: list[PusherStage]) -> None:
        clients = [server.client() for server in servers for _ in range(2)]
        for each in clients:
            await each.join("open,1")
        await asyncio.sleep(3)
        counts = [data["subscription_count"] for name, _, data in clients[5].heard() if name != IN]
        assert counts[-1] == 6
        assert [desk.count("open,1") for desk in desks(servers)] == [6] * SERVERS
        assert [desk.occupied() for desk in desks(servers)] == [["open,1"]] * SERVERS
        told = hooked(servers)
        assert told[0] == ("channel_occupied", "open,1")
        assert [each[0] for each in told].count("channel_occupied") == 1
        assert {each[0] for each in told[1:]} == {"subscription_count"}
        assert len(told) == 1 + SERVERS, "each server tells of its own"
        for each in clients:
            each.conversation.end()
        await asyncio.sleep(1.5)
        assert [desk.occupied() for desk in desks(servers)] == [[]] * SERVERS
        back = servers[1].client()
        await back.join("open,1")
        await asyncio.sleep(9)
        assert back.heard()[-1][2] == {"subscription_count": 1}
        assert [desk.occupied() for desk in desks(servers)] == [["open,1"]] * SERVERS
        assert "channel_vacated" not in [each[0] for each in hooked(servers)]
        back.conversation.end()
        await asyncio.sleep(9)
        assert hooked(servers) == [("channel_vacated", "open,1"), ("subscription_count", "open,1", "0")]

    play_several(scene, subscription_count=True)


def test_users_are_online_and_their_connections_end_wherever_they_are() -> None:
    async def scene(servers: list[PusherStage]) -> None:
        ann, bob, tab = (server.client() for server in servers)
        await ann.sign_in("ann", watchlist=["bob"])
        await bob.sign_in("bob")
        await bob.join("#server-to-user-bob")
        await tab.sign_in("bob")
        await tab.join("#server-to-user-bob")
        await asyncio.sleep(2)
        desks(servers)[0].terminate("bob")
        await asyncio.sleep(1)
        assert (bob.code, tab.code, ann.code) == (4009, 4009, None)
        for each in (bob, tab):
            each.conversation.end()
        await asyncio.sleep(9)
        turns = [(event["name"], event["user_ids"]) for _, _, data in ann.heard()[1:] for event in data["events"]]
        assert turns == [("offline", ["bob"]), ("online", ["bob"]), ("offline", ["bob"])]
        assert hooked(servers) == []

    play_several(scene, watchlists=True)


def test_whoever_stays_out_of_its_users_channel_is_closed_with_the_user() -> None:
    async def scene(stage: PusherStage) -> None:
        shy, parted, other, gone = (stage.client() for _ in range(4))
        for each, user in ((shy, "bob"), (parted, "bob"), (other, "ann"), (gone, "bob")):
            await each.sign_in(user)
        await parted.join("#server-to-user-bob")
        await parted.say("pusher:unsubscribe", {"channel": "#server-to-user-bob"})
        gone.conversation.end()
        [desk, _] = stage.desks
        desk.terminate("bob")
        assert (shy.code, parted.code, other.code) == (4009, 4009, None)
        for each in (shy, parted, other):
            each.conversation.end()
        assert list(desk._signed_in) == []

    play(scene)


@pytest.mark.parametrize("info", [float("nan"), float("inf"), [[[1e999]]]])
def test_a_member_of_whom_nobody_can_be_told_is_no_member(info: Any) -> None:
    """Python's own json spells such numbers. Whoever comes later must not meet them."""

    async def scene(stage: PusherStage) -> None:
        first, second = stage.client(), stage.client()
        await first.join("presence-no", "ann", user_info=info)
        await second.join("presence-no", "bob")
        assert (first.names(), first.code) == (["pusher:subscription_error"], None)
        [(name, _, data)] = second.heard()
        assert (name, data["presence"]["ids"]) == (IN, ["bob"])

    play(scene)


def test_what_processes_tell_each_other_nobody_hears() -> None:
    async def scene(servers: list[PusherStage]) -> None:
        spy = servers[0].client()
        await spy.join("presence-no", "ann")
        await spy.join("private-no")
        spy.heard()
        name = f"{servers[1].company.parts.me}"
        await spy.join(f"private-{name}")
        await servers[1].client().join("presence-no", "bob")
        await asyncio.sleep(100)
        assert set(spy.names()) == {IN, "pusher_internal:member_added"}

    play_several(scene)


def test_a_room_is_vacated_when_it_was_empty_for_a_while() -> None:
    async def scene(stage: PusherStage) -> None:
        clients = [stage.client() for _ in range(2)]
        await clients[0].join("open,1")
        clients[0].conversation.end()
        await asyncio.sleep(2)
        await clients[1].join("open,1")
        clients[1].conversation.end()
        await asyncio.sleep(2)
        assert stage.hooked == [("channel_occupied", "open,1")]
        await asyncio.sleep(2)
        assert stage.hooked == [("channel_occupied", "open,1"), ("channel_vacated", "open,1")]

    play(scene)


def test_what_was_missed_is_a_reset() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        await client.sign_in("7")
        await client.join("#server-to-user-7")
        await client.join("private-no")
        client.heard()
        stage.publish(Event("1", "private-cache-no", "news", "1"))
        stage.desks.missed()
        assert client.heard() == [("reset", "private-no", {"reason": "behind"})]
        await client.join("private-cache-no")
        assert client.names() == [IN, "pusher:cache_miss"], "these may not have been the last words"

    play(scene)


def test_desks_are_found_by_key_and_by_id() -> None:
    desks = Desks([FakeApp()], lambda event: None, None)  # type: ignore[arg-type, return-value]
    [desk] = desks
    assert isinstance(desk, Desk)
    assert desks.of_key("app-key") is desks.of_id("1") is desk
    assert desks.of_key("1") is desks.of_id("app-key") is None
