"""The desk: last words for whoever comes later, counts, crowds, and whom signed data speaks of."""

from __future__ import annotations

import asyncio

from sqla_realtime.commit import Event
from sqla_realtime.hub.presence import Presence
from sqla_realtime.hub.pusher import Desk, Desks
from tests.hub.pusher_stage import FakeApp, PusherStage
from tests.hub.test_pusher_conversation import IN, play


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


def test_what_was_missed_is_a_reset() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        await client.sign_in("7")
        await client.join("#server-to-user-7")
        await client.join("private-no")
        client.heard()
        stage.desks.missed()
        assert client.heard() == [("reset", "private-no", {"reason": "behind"})]

    play(scene)


def test_desks_are_found_by_key_and_by_id() -> None:
    desks = Desks([FakeApp()], lambda event: None, None)  # type: ignore[arg-type, return-value]
    [desk] = desks
    assert isinstance(desk, Desk)
    assert desks.of_key("app-key") is desks.of_id("1") is desk
    assert desks.of_key("1") is desks.of_id("app-key") is None
