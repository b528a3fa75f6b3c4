"""Together in channels: told once per user, never to who has not come, the same tag wherever the same members are."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from sqla_realtime.commit import Event
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.gathering import BURST, EVENTS, NATIVE, SPEAKERS, Gathering, Seat
from sqla_realtime.hub.presence import Presence
from tests.hub.fakes import Client
from tests.hub.gathering_stage import brief
from tests.support.virtual import run

ANN, BOB = Seat("r/{x}", "ann", '{"n":1}'), Seat("r/{x}", "bob", "{}")


def attend(gathering: Gathering, client: Client, seat: Seat, channel: str = "r/1", **more: Any) -> list[str]:
    gathering.attend(client.connection, 1, channel, seat, **more)
    return brief(client.heard())


def test_a_user_with_several_connections_is_told_once() -> None:
    async def scene() -> None:
        gathering, ann, tab, bob = Gathering(), Client(), Client(), Client()
        assert attend(gathering, bob, BOB) == ["members bob"]
        assert attend(gathering, ann, ANN) == ["members bob ann"]
        assert attend(gathering, tab, ANN) == ["members bob ann"]
        assert attend(gathering, tab, ANN) == ["members bob ann"], "asking again changes nothing"
        assert brief(bob.heard()) == ["joined ann"]
        gathering.leave(ann.connection, ["r/1"])
        assert bob.heard() == []
        gathering.leave(tab.connection, ["r/1", "r/2"])
        assert brief(bob.heard()) == ["left ann"]
        assert ann.heard() == tab.heard() == []

    run(scene())


def test_a_page_that_is_loaded_anew_is_no_leave_and_join() -> None:
    async def scene() -> None:
        gathering, ann, bob = Gathering(), Client(), Client()
        attend(gathering, bob, BOB)
        attend(gathering, ann, ANN)
        bob.heard()
        gathering.close(ann.connection)
        await asyncio.sleep(2.9)
        again = Client()
        assert attend(gathering, again, ANN) == ["members bob ann"]
        await asyncio.sleep(60)
        assert bob.heard() == []
        gathering.close(again.connection)
        await asyncio.sleep(3.1)
        assert brief(bob.heard()) == ["left ann"]
        assert gathering._seats.keys() == {bob.connection}
        gathering.close(bob.connection)
        gathering.end()

    run(scene())


def test_channels_do_not_hear_of_each_other() -> None:
    gathering, ann, bob = Gathering(), Client(), Client()
    attend(gathering, ann, ANN)
    assert attend(gathering, bob, BOB, "r/2") == ["members bob"]
    gathering.publish(Event(NATIVE, "r/2", "x", "1", "bob"))
    assert ann.heard() == []
    assert brief(bob.heard()) == ["event bob 1"]
    assert gathering.attended(bob.connection) == {"r/2": "r/{x}"}
    assert gathering.seat(bob.connection, "r/1") is None


def test_the_sender_does_not_hear_itself_but_its_other_tabs_do() -> None:
    gathering, ann, tab = Gathering(), Client(), Client()
    attend(gathering, ann, ANN)
    attend(gathering, tab, ANN)
    gathering.publish(Event(NATIVE, "r/1", "x", '{"a":[1]}', "ann", ann.connection.id))
    assert ann.heard() == []
    assert tab.heard() == [{"type": "event", "channel": "r/1", "name": "x", "from": "ann", "data": {"a": [1]}}]


def test_events_of_other_dialects_and_of_nobody_are_not_told() -> None:
    gathering, ann = Gathering(), Client()
    attend(gathering, ann, ANN)
    gathering.hear(Event("1", "r/1", "x", "1", "bob"))
    gathering.hear(Event(NATIVE, "r/1", "x", "1"))
    assert ann.heard() == []


def test_the_tag_is_that_of_the_members_whoever_came_first() -> None:
    def tags(*seats: Seat) -> list[str]:
        gathering, found = Gathering(), []
        for seat in seats:
            client = Client()
            gathering.attend(client.connection, 1, "r/1", seat)
            found.append(client.heard()[0]["tag"])
        return found

    assert tags(ANN, BOB)[1] == tags(BOB, ANN)[1]
    assert len({*tags(ANN, BOB), tags(BOB)[0], tags(Seat("r/{x}", "ann", "{}"))[0]}) == 4


def test_who_knows_the_members_is_not_told_them_again() -> None:
    async def scene() -> None:
        gathering, ann, bob, late = Gathering(), Client(), Client(), Client()
        gathering.attend(ann.connection, 1, "r/1", ANN)
        tag = ann.heard()[0]["tag"]
        assert attend(gathering, ann, ANN, tag=tag) == ["members"]
        attend(gathering, bob, BOB)
        [joined] = ann.heard()
        assert joined["tag"] != tag
        assert attend(gathering, ann, ANN, tag=tag) == ["members ann bob"]
        assert attend(gathering, late, Seat("r/{x}"), tag=joined["tag"]) == ["members"]
        gathering.leave(bob.connection, ["r/1"])
        assert [message["tag"] for message in ann.heard()] == [tag]
        assert attend(gathering, late, Seat("r/{x}"), tag=tag) == ["left bob", "members"]
        gathering.leave(ann.connection, ["r/1"])
        assert gathering._tags == {}

    run(scene())


def test_who_is_held_is_told_nothing_and_has_not_left() -> None:
    gathering, ann, bob, cyd = Gathering(), Client(), Client(), Client()
    attend(gathering, ann, ANN)
    attend(gathering, bob, BOB)
    ann.heard()
    gathering.hold(ann.connection)
    gathering.hold(ann.connection)
    gathering.publish(Event(NATIVE, "r/1", "x", "1", "bob"))
    assert attend(gathering, cyd, Seat("r/{x}", "cyd", "{}")) == ["members ann bob cyd"]
    assert ann.heard() == []
    assert brief(bob.heard()) == ["event bob 1", "joined cyd"]
    gathering.release(ann.connection)
    [told] = ann.heard()
    assert (brief([told]), "id" in told, told["you"]) == (["members ann bob cyd"], False, "ann")
    gathering.release(ann.connection)
    assert ann.heard() == []


def test_who_left_while_it_was_held_stays_away() -> None:
    gathering, ann, bob = Gathering(), Client(), Client()
    attend(gathering, ann, ANN)
    attend(gathering, bob, BOB)
    gathering.hold(ann.connection)
    gathering.leave(ann.connection, ["r/1"])
    gathering.release(ann.connection)
    gathering.publish(Event(NATIVE, "r/1", "x", "1", "bob"))
    assert brief(ann.heard()) == ["joined bob"]
    assert (gathering._held, gathering.attended(ann.connection)) == (set(), {})


def test_too_many_members_and_one_who_is_another_by_now() -> None:
    gathering, ann, bob = Gathering(presence=partial(Presence, most=1)), Client(), Client()
    attend(gathering, ann, ANN)
    with pytest.raises(Refused) as caught:
        attend(gathering, bob, BOB)
    assert caught.value.code == "channel-full"
    assert bob.heard() == []
    assert attend(gathering, ann, BOB) == ["members bob"], "nobody is two"


def test_who_has_closed_comes_in_no_more() -> None:
    gathering, ann = Gathering(), Client()
    ann.connection.abort(4500)  # type: ignore[arg-type]
    assert attend(gathering, ann, ANN) == []
    assert (gathering._seats, gathering._presence.members("r/1")) == ({}, [])


def test_so_fast_one_may_speak_and_it_is_forgotten_who_has_been_quiet() -> None:
    now = 0.0
    gathering = Gathering(clock=lambda: now)
    assert [gathering.may_speak("ann") for _ in range(int(BURST) + 2)] == [True] * int(BURST) + [False] * 2
    assert gathering.may_speak("bob")
    now = 1.0
    assert sum(gathering.may_speak("ann") for _ in range(50)) == EVENTS
    now = 60.0
    for number in range(SPEAKERS + 5):
        assert gathering.may_speak(f"user {number}")
    assert "ann" not in gathering._speakers
