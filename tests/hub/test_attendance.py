"""Attending and speaking: by the rule, as who one is, what was declared, and never more than is good for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from sqla_realtime.commit import Event
from sqla_realtime.hub.attendance import MAX_EVENT, MAX_ID, MAX_INFO
from sqla_realtime.hub.doors import Guest, Refused
from sqla_realtime.hub.gathering import BURST, Seat
from tests.hub.gathering_stage import GatheringStage, brief, gathered
from tests.hub.stage import subscribe

ROOM = "room/1"


def staged(scene: Callable[[GatheringStage], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        gathered(scene, subscriptions=3)

    test.__name__ = scene.__name__
    return test


@staged
async def test_the_whole_story(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    [told] = await ann.attend(ROOM)
    assert told == {
        "type": "members", "id": 2, "channel": ROOM, "tag": told["tag"], "you": "a",
        "members": [{"id": "a", "info": {"name": "ann"}}],
    }  # fmt: skip
    assert brief(await bob.attend(ROOM)) == ["members a b"]
    [joined] = ann.heard()
    assert joined == {"type": "joined", "channel": ROOM, "tag": joined["tag"], "member": {"id": "b", "info": {"name": "bob"}}}
    assert await bob.say(ROOM, id=9) == [{"type": "taken", "id": 9}]
    assert ann.heard() == [{"type": "event", "channel": ROOM, "name": "wave", "from": "b", "data": "HELLO"}]
    assert await bob.ask({"type": "depart", "channel": ROOM, "id": 10}) == [{"type": "departed", "id": 10, "channel": ROOM}]
    assert brief(ann.heard()) == ["left b"]
    assert brief(await bob.say(ROOM)) == ["not-attending"]
    assert brief(await bob.ask({"type": "depart", "channel": ROOM})) == ["departed"]
    assert ann.heard() == []


@staged
async def test_rows_and_members_are_asked_for_apart(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    assert brief(await ann.ask(subscribe("lounge/1", number=5))) == ["subscribed"]
    assert brief(await bob.attend("lounge/1")) == ["members b"]
    stage.broker.add()
    assert ann.heard() == []
    assert brief(await bob.say("lounge/1")) == ["taken"]
    assert ann.heard() == [], "who has not asked is told nothing"
    assert brief(await ann.say("lounge/1")) == ["not-attending"]
    assert brief(await ann.attend("lounge/1")) == ["members b a"]
    await ann.ask({"type": "unsubscribe", "channels": ["lounge/1"]})
    bob.heard()
    assert brief(await bob.say("lounge/1")) == ["taken"]
    assert brief(ann.heard()) == ["event b HELLO"]


@staged
async def test_whoever_is_not_known_listens(stage: GatheringStage) -> None:
    ann, nobody = await stage.visitor("ann"), await stage.visitor("")
    await ann.attend(ROOM)
    [told] = await nobody.attend(ROOM)
    assert brief([told]) == ["members a"]
    assert "you" not in told
    assert ann.heard() == []
    assert brief(await nobody.say(ROOM)) == ["not-a-member"]
    assert brief(await ann.say(ROOM)) == ["taken"]
    assert brief(nobody.heard()) == ["event a HELLO"]
    nobody.end()
    await asyncio.sleep(10)
    assert ann.heard() == []


@staged
async def test_where_members_are_not_shown_they_may_still_speak(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    assert brief(await ann.attend("hall/1")) == ["members"]
    assert brief(await bob.attend("hall/1")) == ["members"]
    assert ann.heard() == []
    assert brief(await bob.say("hall/1")) == ["taken"]
    assert brief(ann.heard()) == ["event b HELLO"]


@staged
async def test_nobody_attends_what_the_rule_refuses_or_what_has_no_members(stage: GatheringStage) -> None:
    ann = await stage.visitor("ann")
    [forbidden] = await ann.attend("no/1", id=5)
    assert (forbidden["code"], forbidden["id"], "channel" in forbidden) == ("forbidden", 5, False)
    assert brief(await ann.attend("rows/1")) == ["no-presence"]
    assert brief(await ann.say("rows/1")) == ["not-attending"]
    await ann.ask(*(subscribe(f"rows/{number}") for number in range(3)))
    assert brief(await ann.attend(ROOM)) == ["too-many-subscriptions"]
    await ann.ask({"type": "unsubscribe", "channels": ["rows/0"]})
    assert brief(await ann.attend(ROOM)) == ["members a"]
    assert brief(await ann.ask(subscribe("rows/0"))) == ["too-many-subscriptions"]


@staged
async def test_what_is_wrong_with_an_event_its_sender_alone_is_told(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    await ann.attend(ROOM)
    await bob.attend(ROOM)
    ann.heard()
    assert brief(await bob.say(ROOM, name="shout")) == ["unknown-event"]
    assert brief(await bob.say(ROOM, "x" * (MAX_EVENT - 2))) == ["taken"]
    assert brief(await bob.say(ROOM, "x" * (MAX_EVENT - 1))) == ["event-too-large"]
    assert brief(await bob.say(ROOM, "ß" * (MAX_EVENT // 2 - 1))) == ["taken"]
    assert brief(await bob.say(ROOM, "é" * (MAX_EVENT // 2))) == ["event-too-large"]
    assert brief(await bob.say(ROOM, "ŉ" * (MAX_EVENT // 2 - 1))) == ["event-too-large"], "which its model made longer"
    assert brief(await bob.say("room/2")) == ["not-attending"]
    assert len(ann.heard()) == 2


@staged
async def test_a_user_speaks_so_fast_at_most_whatever_it_speaks_over(stage: GatheringStage) -> None:
    ann, bob, bobs = await stage.visitor("ann"), await stage.visitor("bob"), await stage.visitor("bob")
    for each in (ann, bob, bobs):
        await each.attend(ROOM)
    ann.heard()
    stage.house.gathering._clock = lambda: 0.0
    codes = [brief(await each.say(ROOM)) for _ in range(int(BURST)) for each in (bob, bobs)]
    assert sum(["taken" in code for code in codes]) == BURST
    assert codes[-1][-1:] == ["too-fast"]
    assert len(ann.heard()) == BURST
    assert brief(await ann.say(ROOM)) == ["taken"], "another user's haste is nobody else's"


@staged
async def test_nobody_speaks_as_somebody_else(stage: GatheringStage) -> None:
    """Whatever a client adds to what it says: who said it is who the server knows it to be."""
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    await ann.attend(ROOM)
    await bob.attend(ROOM, you="a", member="a", user="a")
    ann.heard()
    forged = {"from": "a", "user": "a", "you": "a", "member": "a", "connection": ann.connection.id}
    assert brief(await bob.say(ROOM, **forged)) == ["taken"]
    assert brief(ann.heard()) == ["event b HELLO"]


@staged
async def test_one_that_has_lost_its_right_leaves_and_is_told(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    await ann.attend(ROOM)
    await bob.attend(ROOM)
    ann.heard()
    stage.doorkeeper.barred.add(("bob", ROOM))
    stage.house.recheck("room/{x}")
    assert brief(await ann.ask()) in (["members a"], ["members a b", "left b"]), "whoever is looked at first"
    assert bob.heard() == [{"type": "leave", "channels": [ROOM], "reason": "forbidden"}]
    assert brief(await bob.say(ROOM)) == ["not-attending"]
    assert brief(await bob.attend(ROOM)) == ["forbidden"]
    assert ann.heard() == []


@staged
async def test_while_a_right_is_in_doubt_nothing_is_told_and_nobody_has_left(stage: GatheringStage) -> None:
    ann, bob, cyd = await stage.visitor("ann"), await stage.visitor("bob"), await stage.visitor("cyd")
    await ann.attend(ROOM)
    await bob.attend(ROOM)
    ann.heard()
    gate = stage.shut("review")
    stage.house.revoke("b")
    assert brief(await cyd.attend(ROOM)) == ["members a b c"]
    assert brief(await ann.say(ROOM)) == ["joined c", "taken"]
    assert await bob.say(ROOM) == []
    gate.set()
    assert brief(await bob.ask()) == ["members a b c", "taken"], "all of them, not who came meanwhile"
    assert brief(await ann.ask()) == ["event b HELLO"]
    assert brief(await ann.say(ROOM)) == ["taken"]
    assert brief(bob.heard()) == ["event a HELLO"]


@staged
async def test_what_is_said_while_a_right_is_lost_is_not_told(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    await ann.attend(ROOM)
    await bob.attend(ROOM)
    ann.heard()
    gate = stage.shut("event")
    assert brief(await bob.say(ROOM)) == []
    stage.doorkeeper.barred.add(("bob", ROOM))
    stage.house.recheck(ROOM)
    gate.set()
    assert brief(await bob.ask()) == ["forbidden", "not-attending"]
    assert brief(await ann.ask()) in (["members a"], ["members a b", "left b"]), "whoever is looked at first"


@staged
async def test_a_right_that_is_lost_while_a_profile_is_read_admits_nobody(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    await ann.attend(ROOM)
    gate = stage.shut("profile")
    assert await bob.attend(ROOM) == []
    stage.doorkeeper.barred.add(("bob", ROOM))
    stage.house.recheck(ROOM)
    gate.set()
    assert brief(await bob.ask()) == ["forbidden"]
    assert brief(await ann.ask()) == ["members a"]


@staged
async def test_one_that_leaves_while_its_profile_is_read_is_no_member(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    await ann.attend(ROOM)
    gate = stage.shut("profile")
    await bob.attend(ROOM)
    bob.end()
    gate.set()
    await asyncio.sleep(1)
    assert ann.heard() == []
    assert brief(await ann.attend(ROOM)) == ["members a"]


@staged
async def test_a_refusal_ends_the_rows_as_well_and_the_other_way_round(stage: GatheringStage) -> None:
    ann = await stage.visitor("ann")
    await ann.ask(subscribe("lounge/1"))
    stage.doorkeeper.barred.add(("ann", "lounge/1"))
    left = {"type": "leave", "channels": ["lounge/1"], "reason": "forbidden"}
    told = await ann.attend("lounge/1")
    assert (told[0], brief(told)) == (left, ["forbidden", "forbidden"])
    stage.doorkeeper.barred.clear()
    await ann.attend("lounge/1")
    stage.doorkeeper.barred.add(("ann", "lounge/1"))
    told = await ann.ask(subscribe("lounge/1"))
    assert (told[0], brief(told)) == (left, ["forbidden", "forbidden"])
    assert stage.house.joined(ann.connection) == {}


@staged
async def test_a_token_that_ends_takes_its_member_along_unless_it_comes_back(stage: GatheringStage) -> None:
    ann, bob = await stage.visitor("ann"), await stage.visitor("bob")
    await ann.attend(ROOM)
    await bob.attend(ROOM)
    ann.heard()
    bob.conversation._rights._end()
    assert brief(bob.heard()) == ["token-expired"]
    assert brief(await bob.attend(ROOM)) == ["needs-auth"]
    assert brief(await bob.say(ROOM)) == ["not-attending"]
    stage.doorkeeper.guests["anew"] = Guest("bob", id="b")
    assert brief(await bob.ask({"type": "renew", "token": "anew"})) == ["renewed"]
    assert brief(await bob.attend(ROOM)) == ["members a b"]
    assert ann.heard() == []
    bob.conversation._rights._end()
    await asyncio.sleep(4)
    assert brief(ann.heard()) == ["left b"]


@staged
async def test_who_turns_out_to_be_another_speaks_as_the_first_no_more(stage: GatheringStage) -> None:
    """A session's cookie may be another user's by now, or nobody's, or the user be no more."""
    ann, bob, cyd, dan = [await stage.visitor(name) for name in ("ann", "bob", "cyd", "dan")]
    for each in (ann, bob, cyd):
        await each.attend(ROOM)
    await dan.ask(subscribe("rows/1"))
    gate = stage.shut("review")
    stage.doorkeeper.changed |= {"b": Guest("ann", id="a"), "c": Guest(None, id="c"), "d": Guest("eve", id="e")}
    stage.house.revoke(None)
    said = [asyncio.ensure_future(each.say(ROOM)) for each in (bob, cyd)]
    gate.set()
    for each, answer in zip((bob, cyd), said, strict=True):
        assert brief(await answer)[-1:] == ["restarting"]
        assert each.connection.close_code == 4500
        each.end()
    assert dan.connection.close_code is None, "nobody knows it as anybody"
    ann.heard()
    await asyncio.sleep(4)
    assert sorted(brief(ann.heard())) == ["left b", "left c"]


@staged
async def test_a_user_who_is_no_more_is_no_member(stage: GatheringStage) -> None:
    ghost = await stage.visitor("ghost")
    ghost.conversation._rights.begin(Guest(None, id="g"))
    assert brief(await ghost.attend(ROOM)) == ["members"]
    assert brief(await ghost.say(ROOM)) == ["not-a-member"]


@staged
async def test_what_is_shown_of_a_member_is_bounded(stage: GatheringStage) -> None:
    ann = await stage.visitor("a" * (MAX_INFO - 12))
    assert brief(await ann.attend(ROOM)) == ["members a"]
    bob = await stage.visitor("b" * (MAX_INFO - 11))
    assert brief(await bob.attend(ROOM)) == ["presence-failed"]
    cyd = await stage.visitor("cyd")
    ids = {"c" * MAX_ID: ["members"], "c" * (MAX_ID + 1): ["presence-failed"], "\ud800": ["presence-failed"]}
    for user, answer in ids.items():
        cyd.conversation._rights.begin(Guest("cyd", id=user))
        assert brief(await cyd.attend("hall/1")) == answer
    assert ann.heard() == []


@staged
async def test_what_does_not_get_into_the_log_is_not_taken(stage: GatheringStage) -> None:
    ann = await stage.visitor("ann")
    await ann.attend(ROOM)
    futures: list[Future[Any]] = []

    def publish(event: Event) -> Future[Any]:
        futures.append(Future())
        return futures[-1]

    stage.house.gathering.publish = publish
    assert await ann.say(ROOM, id=7) == []
    futures[0].set_exception(OSError("the database is away"))
    [told] = await ann.ask()
    assert (told["code"], told["id"]) == ("presence-failed", 7)
    assert "database" not in told["message"]
    assert await ann.say(ROOM, id=8) == []
    await asyncio.sleep(6)
    assert brief(ann.heard()) == ["presence-failed"]
    assert await ann.say(ROOM, id=9) == []
    futures[2].set_result(None)
    assert await ann.ask() == [{"type": "taken", "id": 9}]


@pytest.mark.parametrize("explain", [True, False])
def test_in_development_it_is_said_what_to_do(explain: bool) -> None:
    async def scene(stage: GatheringStage) -> None:
        ann = await stage.visitor("ann")
        [told] = await ann.attend("rows/1")
        assert ("fix" in told) is explain
        if explain:
            assert told["fix"].startswith('Declare it: realtime.channel("rows/{x}", presence=')

    gathered(scene, explain=explain)


@staged
async def test_too_many_members(stage: GatheringStage) -> None:
    ann = await stage.visitor("ann")
    stage.house.gathering._presence._most = 1
    assert brief(await ann.attend(ROOM)) == ["members a"]
    bob, nobody = await stage.visitor("bob"), await stage.visitor("")
    assert brief(await bob.attend(ROOM)) == ["channel-full"]
    assert brief(await bob.say(ROOM)) == ["not-attending"]
    assert brief(await nobody.attend(ROOM)) == ["members a"]
    assert stage.house.gathering.seat(bob.connection, ROOM) is None
    assert stage.house.gathering.seat(ann.connection, ROOM) == Seat("room/{x}", "a", '{"name": "ann"}')


@staged
async def test_attending_is_for_who_has_said_hello(stage: GatheringStage) -> None:
    for message in ({"type": "attend"}, {"type": "depart"}, {"type": "say", "name": "wave"}):
        [told] = await stage.ask({"id": 1, "channel": ROOM, **message})
        assert told["code"] == "hello-required"


def test_a_refusal_has_a_code() -> None:
    assert Refused("no-presence", "x").code == "no-presence"
