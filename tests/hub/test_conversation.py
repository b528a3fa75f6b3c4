"""A client's conversation: every bad input has its code, order is kept, and whoever leaves at any moment leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import Any

import pytest

from sqla_realtime.hub.conversation import INBOX
from sqla_realtime.hub.doors import Guest, Refused
from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.protocol.messages import Ping, Subscribe, Unsubscribe
from tests.hub.fakes import at, put, residue, row
from tests.hub.stage import Stage, outcomes, play, subscribe
from tests.protocol.bad import BAD

# Bad input.


@pytest.mark.parametrize(("said", "code"), BAD, ids=lambda value: str(value)[:50])
@pytest.mark.parametrize("admitted", [True, False])
def test_every_bad_input_gets_its_code_and_the_connection_stays(said: Any, code: str, admitted: bool) -> None:
    async def scene(stage: Stage) -> None:
        error, pong = await stage.ask(said, {"type": "ping"})
        assert (error["type"], error["code"]) == ("error", code)
        assert error["message"]
        assert set(error) <= {"type", "code", "message"}
        assert pong == {"type": "pong"}
        assert stage.client.connection.close_code is None
        assert residue(stage.hub) == {}

    play(scene, admitted=admitted)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (subscribe("a", number=-1), "id"), (subscribe(), "channels"), (subscribe("a", after=1), "after"),
        ({"type": "hello", "token": 1}, "token"), ({"type": "unsubscribe", "id": 1, "channels": ["a", "a"]}, "channels"),
    ],
)  # fmt: skip
def test_an_invalid_field_is_named(said: Any, field: str) -> None:
    async def scene(stage: Stage) -> None:
        [error] = await stage.ask(said)
        assert error["message"].startswith(field + " must be ")

    play(scene)


def test_the_tenth_bad_message_closes() -> None:
    async def scene(stage: Stage) -> None:
        answers = await stage.ask(*["nonsense"] * 12, {"type": "ping"})
        assert outcomes(answers) == ["malformed"] * 10 + ["4400"]
        assert answers[-1] == {"type": "bye", "code": 4400, "reason": "bad-messages"}
        assert stage.client.connection.close_code == 4400

    play(scene)


def test_bad_messages_of_every_kind_count_together() -> None:
    async def scene(stage: Stage) -> None:
        kinds = ["{", {"type": "?"}, subscribe(), subscribe("a"), {"type": "hello", "token": "forged"}]
        answers = await stage.ask(*kinds, *kinds)
        assert sorted(outcomes(answers)) == sorted(
            [*["malformed", "unknown-message", "invalid-field", "hello-required", "bad-token"] * 2, "4400"]
        )
        assert outcomes(answers)[-1] == "4400"

    play(scene, admitted=False)


def test_refused_channels_are_no_bad_messages() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(20):
            assert outcomes(await stage.ask(subscribe("no/1"))) == ["forbidden no/1"]
        assert stage.client.connection.close_code is None

    play(scene)


@pytest.mark.parametrize("said", [subscribe("a"), {"type": "unsubscribe", "id": 1, "channels": ["a"]}])
def test_nothing_is_done_before_hello(said: Any) -> None:
    async def scene(stage: Stage) -> None:
        assert outcomes(await stage.ask(said)) == ["hello-required"]
        assert stage.doorkeeper.asked == []

    play(scene, admitted=False)


def test_hello_twice_is_refused_and_changes_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.doorkeeper.guests["other"] = Guest("other")
        assert outcomes(await stage.ask({"type": "hello", "token": "other"})) == ["hello-twice"]
        assert stage.client.connection.user == "anonymous"

    play(scene)


def test_unknown_fields_are_ignored() -> None:
    async def scene(stage: Stage) -> None:
        [pong] = await stage.ask('{"type":"ping","x":[{"y":1e999}],"channels":5}')
        assert pong == {"type": "pong"}
        assert outcomes(await stage.ask(subscribe("a/1", hello=None))) == ["subscribed a/1"]

    play(scene)


def test_a_flood_is_closed() -> None:
    async def scene(stage: Stage) -> None:
        gate = stage.shut("a/1")
        stage.say(subscribe("a/1"))
        await asyncio.sleep(1)
        for _ in range(INBOX):
            stage.say({"type": "ping"})
        assert stage.client.connection.close_code is None
        stage.say({"type": "ping"})
        assert stage.client.connection.close_code == 4400
        gate.set()
        assert outcomes(await stage.ask()) == ["4400"]

    play(scene)


def test_after_a_close_nothing_is_taken_any_more() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.connection.close(CloseCode.RESTARTING)
        for _ in range(10 * INBOX):
            stage.say({"type": "ping"})
            stage.say("nonsense")
        assert len(stage.conversation._inbox) == 0
        await asyncio.sleep(1)
        assert outcomes(stage.client.heard()) == ["4500"]

    play(scene)


def test_what_waits_for_its_turn_is_dropped_at_a_close() -> None:
    async def scene(stage: Stage) -> None:
        gate = stage.shut("a/1")
        await stage.ask(subscribe("a/1"), subscribe("a/2"))
        stage.client.connection.close(CloseCode.RESTARTING)
        gate.set()
        assert outcomes(await stage.ask()) == ["4500"]
        assert [name for _, name in stage.doorkeeper.asked] == ["a/1"]
        assert residue(stage.hub) == {}

    play(scene)


# Hello.


def test_hello_is_answered_with_the_connection_and_the_ping() -> None:
    async def scene(stage: Stage) -> None:
        [answer] = await stage.ask({"type": "hello"})
        assert answer == {"type": "hello", "connection": stage.client.connection.id, "ping": 25.0}
        assert stage.conversation.admitted

    play(scene, admitted=False)


def test_a_bad_token_may_be_followed_by_a_good_one() -> None:
    async def scene(stage: Stage) -> None:
        stage.doorkeeper.guests["old"] = Refused(ErrorCode.TOKEN_EXPIRED, "old", "a fix")
        stage.doorkeeper.guests["good"] = Guest("me")
        said = [{"type": "hello", "token": token} for token in ("forged", "old", "good")]
        assert outcomes(await stage.ask(*said)) == ["bad-token", "token-expired", "hello"]
        assert stage.client.connection.user == "me"

    play(scene, admitted=False)


def test_a_bad_token_admits_to_nothing() -> None:
    async def scene(stage: Stage) -> None:
        answers = await stage.ask({"type": "hello", "token": "forged"}, subscribe("a/1"))
        assert outcomes(answers) == ["bad-token", "hello-required"]
        assert not stage.conversation.admitted

    play(scene, admitted=False)


def test_a_connection_ends_with_its_token() -> None:
    async def scene(stage: Stage) -> None:
        stage.doorkeeper.guests["short"] = Guest("me", time.time() + 30)
        await stage.hello("short")
        await asyncio.sleep(28)
        assert stage.client.connection.close_code is None
        await asyncio.sleep(2)
        assert outcomes(stage.client.heard()) == ["needs_auth"]
        assert stage.client.connection.close_code is None
        await asyncio.sleep(10)
        assert outcomes(stage.client.heard()) == ["4501"]
        assert stage.client.connection.close_code == 4501

    play(scene, admitted=False)


def test_a_fix_is_told_in_development_only() -> None:
    for explain in (True, False):

        async def scene(stage: Stage, explain: bool = explain) -> None:
            answers = await stage.ask({"type": "hello", "token": "forged"}, {"type": "hello"}, subscribe("no/1"))
            assert ["fix" in answer for answer in answers] == [explain, False, explain]

        play(scene, admitted=False, explain=explain)


def test_what_the_application_cannot_answer_is_a_restart_not_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.doorkeeper.guests["broken"] = ZeroDivisionError()
        answers = await stage.ask({"type": "hello", "token": "broken"}, {"type": "ping"})
        assert outcomes(answers) == ["4500"]

    play(scene, admitted=False)
    assert "[message-failed]" in caplog.text


# Subscribe.


def test_channels_are_answered_each_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.archive.tables["a/1"] = [row(1)]
        answers = await stage.ask(subscribe("a/1", "no/2", "a/3", number=7))
        assert sorted(outcomes(answers)) == ["forbidden no/2", "subscribed a/1", "subscribed a/3"]
        assert {message["id"] for message in answers} == {7}
        assert stage.client.connection.channels == {"a/1", "a/3"}
        assert stage.doorkeeper.asked == [("anonymous", name) for name in ("a/1", "no/2", "a/3")]

    play(scene)


def test_every_subscribe_runs_the_rule_also_with_a_position() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        await stage.ask(subscribe("a/1", after=stage.client.position))
        await stage.ask(subscribe("a/1"))
        assert len(stage.doorkeeper.asked) == 3
        assert outcomes(await stage.ask(subscribe("no/1", after="e.0"))) == ["forbidden no/1"]

    play(scene)


def test_whoever_is_refused_a_channel_that_it_is_in_loses_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        stage.doorkeeper.admit = refuse  # type: ignore[method-assign]
        assert outcomes(await stage.ask(subscribe("a/1"))) == ["forbidden a/1"]
        stage.broker.add(put("a/1", 1))
        assert await stage.ask() == []
        assert residue(stage.hub) == {}

    async def refuse(user: Any, channel: str) -> str:
        raise Refused(ErrorCode.FORBIDDEN, "no more")

    play(scene)


def test_a_resume_is_recovered_or_answered_with_rows_channel_by_channel() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.shown = {"a/1": {}, "a/2": {}}
        stage.broker.add(put("a/1", 1), put("b/1", 1))
        stage.broker.add(invalidated=["b/{x}"])
        await asyncio.sleep(1)
        first, second = await stage.ask(subscribe("a/1", "b/1", after="e.0"))
        assert first["channels"] == [{"channel": "a/1", "recovered": True}]
        assert [commit["commit"] for commit in first["commits"]] == ["e.1"]
        assert second["channels"] == [{"channel": "b/1", "rows": []}]

    play(scene)


def test_whoever_comes_from_a_server_that_was_faster_is_not_sent_back() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.shown = {"a/1": {}}
        stage.broker.position = at(1)
        assert await stage.ask(subscribe("a/1", after="e.1")) == [], "what is in the log is on its way here"
        stage.broker.position = at(0)
        stage.broker.add(put("b/1", 1))
        await asyncio.sleep(1)
        [answer] = stage.client.heard()
        assert answer["channels"] == [{"channel": "a/1", "recovered": True}]

    play(scene)


@pytest.mark.parametrize(
    "after", ["", "e", "e.", "e.x", "e.-1", "f.0", "e.1", "e.9007199254740991", "x" * 64, " e.0", "e.00", "\x00"]
)
def test_a_position_that_means_nothing_is_answered_with_rows(after: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.archive.tables["a/1"] = [row(1)]
        [answer] = await stage.ask(subscribe("a/1", after=after))
        assert answer["channels"] == [{"channel": "a/1", "rows": [{"class": "Row", "id": "1", "record": {"v": 0}}]}]
        assert answer["position"] == "e.0"

    play(scene)


def test_no_position_is_no_resume() -> None:
    async def scene(stage: Stage) -> None:
        [answer] = await stage.ask(subscribe("a/1", after=None))
        assert answer["channels"] == [{"channel": "a/1", "rows": []}]

    play(scene)


def test_the_limit_is_exact_and_tells_the_channel() -> None:
    async def scene(stage: Stage) -> None:
        answers = await stage.ask(subscribe("a/1", "a/2", "a/3"))
        assert sorted(outcomes(answers)) == ["subscribed a/1", "subscribed a/2", "too-many-subscriptions a/3"]
        assert ("anonymous", "a/3") not in stage.doorkeeper.asked
        await stage.ask({"type": "unsubscribe", "id": 2, "channels": ["a/1"]})
        assert outcomes(await stage.ask(subscribe("a/3"))) == ["subscribed a/3"]

    play(scene, subscriptions=2)


def test_refused_channels_do_not_count_against_the_limit() -> None:
    async def scene(stage: Stage) -> None:
        answers = await stage.ask(subscribe("no/1", "no/2", "a/1", "a/2"))
        assert sorted(outcomes(answers)) == ["forbidden no/1", "forbidden no/2", "subscribed a/1", "subscribed a/2"]

    play(scene, subscriptions=2)


def test_a_channel_that_is_lost_makes_room() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        admit = stage.doorkeeper.admit

        async def refuse_first(user: Any, channel: str) -> str:
            return await admit(user, "no" if channel == "a/1" else channel)

        stage.doorkeeper.admit = refuse_first  # type: ignore[method-assign]
        assert outcomes(await stage.ask(subscribe("a/1", "a/2"))) == ["forbidden a/1", "subscribed a/2"]

    play(scene, subscriptions=1)


def test_channels_that_it_is_in_do_not_count_twice() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        answers = await stage.ask(subscribe("a/1", "a/2"), subscribe("a/2", "a/1"))
        assert set(outcomes(answers)) == {"subscribed a/1", "subscribed a/2"}

    play(scene, subscriptions=2)


def test_channels_that_it_waits_for_do_not_count_twice() -> None:
    async def scene(stage: Stage) -> None:
        stage.archive.gate = asyncio.Event()
        assert await stage.ask(subscribe("a/1"), subscribe("a/1", number=2)) == []
        stage.archive.gate.set()
        [answer] = await stage.ask()
        assert (answer["type"], answer["id"]) == ("subscribed", 2)

    play(scene, subscriptions=1)


def test_a_rule_that_raises_past_the_doorkeeper_is_a_restart() -> None:
    async def scene(stage: Stage) -> None:
        assert outcomes(await stage.ask(subscribe("a/1", "boom/1"))) == ["4500"]
        stage.conversation.end()
        assert residue(stage.hub) == {}

    play(scene)


# Unsubscribe.


def test_unsubscribe_is_idempotent_and_final() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        leave = {"type": "unsubscribe", "id": 4, "channels": ["a/1", "never/1"]}
        answer = {"type": "unsubscribed", "id": 4, "channels": ["a/1", "never/1"]}
        assert await stage.ask(leave, leave) == [answer, answer]
        stage.broker.add(put("a/1", 1))
        assert await stage.ask() == []
        assert residue(stage.hub) == {}

    play(scene)


def test_unsubscribe_while_the_rows_are_read_takes_the_request_back() -> None:
    async def scene(stage: Stage) -> None:
        stage.archive.gate = asyncio.Event()
        answers = await stage.ask(subscribe("a/1"), {"type": "unsubscribe", "id": 2, "channels": ["a/1"]})
        assert outcomes(answers) == ["unsubscribed"]
        stage.archive.gate.set()
        assert await stage.ask() == []
        assert residue(stage.hub) == {}

    play(scene)


# Order.


def test_messages_are_handled_in_the_order_in_which_they_came() -> None:
    async def scene(stage: Stage) -> None:
        gate = stage.shut("a/1")
        said = [subscribe("a/1"), {"type": "ping"}, {"type": "unsubscribe", "id": 2, "channels": ["a/1"]}, {"type": "ping"}]
        assert await stage.ask(*said) == [], "a ping overtook a subscribe"
        gate.set()
        assert outcomes(await stage.ask()) == ["pong", "unsubscribed", "pong"]
        assert stage.client.connection.channels == set()

    play(scene)


def test_a_slow_hello_holds_what_comes_after_it() -> None:
    async def scene(stage: Stage) -> None:
        gate = stage.shut("identify")
        assert await stage.ask({"type": "hello"}, subscribe("a/1")) == []
        gate.set()
        assert outcomes(await stage.ask()) == ["hello", "subscribed a/1"]

    play(scene, admitted=False)


# Live loss.


def ping(position: str) -> dict[str, Any]:
    return {"type": "ping", "position": position}


def test_a_client_that_is_behind_what_it_was_sent_before_the_last_pong_is_reset(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1", "a/2"))
        assert outcomes(await stage.ask(ping("e.0"))) == ["pong"]
        stage.broker.add(put("a/1", 1))
        assert outcomes(await stage.ask()) == ["commit"]
        # The commit may have crossed this ping on the way, so it proves nothing yet.
        assert outcomes(await stage.ask(ping("e.0"))) == ["pong"]
        reset, pong = await stage.ask(ping("e.0"))
        assert reset == {"type": "reset", "channels": ["a/1", "a/2"], "reason": "behind"}
        assert pong == {"type": "pong"}
        stage.broker.add(put("a/1", 2))
        assert outcomes(await stage.ask(ping("e.0"), ping("e.0"))) == ["pong", "pong"], "there is nothing left to reset"
        assert outcomes(await stage.ask(subscribe("a/1"))) == ["subscribed a/1"]
        assert outcomes(await stage.ask(ping("e.2"))) == ["pong"]
        assert outcomes(await stage.ask(ping("e.2"))) == ["pong"]

    play(scene)
    assert "[client-behind]" in caplog.text


def test_a_client_that_has_what_it_was_sent_is_left_alone() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        for offset in range(1, 9):
            stage.broker.add(put("a/1", 1), put("b/1", 2))
            stage.broker.add(put("b/1", 2))
            await stage.ask()
            assert outcomes(await stage.ask(ping(f"e.{2 * offset - 1}"))) == ["pong"]

    play(scene)


@pytest.mark.parametrize("position", ["f.9", "nonsense", ""])
def test_a_position_of_another_log_is_behind(position: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        assert outcomes(await stage.ask(ping(position), ping(position))) == ["pong", "reset", "pong"]

    play(scene)


def test_whoever_has_something_queued_is_not_behind() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        stage.broker.add(put("a/1", 1))
        await stage.ask(ping("e.1"))
        stage.client.reads = False
        stage.broker.add(put("a/1", 2))
        await stage.ask(ping("e.0"), ping("e.0"))
        stage.client.read()
        assert outcomes(await stage.ask()) == ["commit", "pong", "pong"]

    play(scene)


def test_a_ping_without_a_position_asks_for_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1"))
        stage.broker.add(put("a/1", 1))
        await stage.ask()
        assert outcomes(await stage.ask({"type": "ping"}, {"type": "ping"})) == ["pong", "pong"]

    play(scene)


# Leaving.


async def left(stage: Stage) -> None:
    """The client goes; whatever it waited for comes afterwards. Nothing may be left of it."""
    stage.conversation.end()
    for gate in stage.doorkeeper.gates.values():
        gate.set()
    if stage.archive.gate is not None:
        stage.archive.gate.set()
    await asyncio.sleep(1)
    assert residue(stage.hub) == {}
    assert stage.client.heard() == []
    assert stage.client.connection.channels == set()
    assert not stage.snapshots._tasks
    loop: Any = asyncio.get_running_loop()
    timers = [handle for handle in loop._scheduled if not handle.cancelled() and handle.when() > loop.time() + 100]
    assert not timers, "a timer still holds the connection"
    watched = weakref.ref(stage.conversation)
    del stage.conversation
    gc.collect()
    assert watched() is None, "somebody still holds the conversation"


def test_leaving_before_a_word() -> None:
    play(left, admitted=False)


def test_leaving_while_it_is_being_identified() -> None:
    async def scene(stage: Stage) -> None:
        stage.doorkeeper.guests["long"] = Guest("me", time.time() + 10_000)
        stage.shut("identify")
        await stage.ask({"type": "hello", "token": "long"}, subscribe("a/1"))
        await left(stage)

    play(scene, admitted=False)


def test_leaving_with_a_token_that_would_have_lasted() -> None:
    async def scene(stage: Stage) -> None:
        stage.doorkeeper.guests["long"] = Guest("me", time.time() + 10_000)
        await stage.hello("long")
        await left(stage)

    play(scene, admitted=False)


def test_leaving_while_a_rule_is_asked() -> None:
    async def scene(stage: Stage) -> None:
        stage.shut("a/2")
        await stage.ask(subscribe("a/1", "a/2", "a/3"), subscribe("a/4"))
        await left(stage)
        assert [name for _, name in stage.doorkeeper.asked] == ["a/1", "a/2"], "rules are asked for somebody who has left"

    play(scene)


def test_leaving_while_a_rule_refuses() -> None:
    async def scene(stage: Stage) -> None:
        stage.shut("no/1")
        await stage.ask(subscribe("no/1"))
        await left(stage)

    play(scene)


def test_leaving_while_the_rows_are_read() -> None:
    async def scene(stage: Stage) -> None:
        stage.archive.gate = asyncio.Event()
        await stage.ask(subscribe("a/1"))
        assert residue(stage.hub) != {}
        await left(stage)

    play(scene)


def test_leaving_while_it_is_live() -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask(subscribe("a/1", "a/2"))
        await left(stage)

    play(scene)


def test_a_client_that_stops_reading_is_cut_also_by_its_own_questions() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.reads = False
        stage.client.connection.budget = 1000
        await stage.ask(*[{"type": "ping"}] * 100)
        assert stage.client.connection.close_code == 4502
        await left(stage)

    play(scene)


# For transports that are requests.


def test_it_is_settled_when_everything_is_answered() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.conversation.settled
        rule, stage.archive.gate = stage.shut("a/1"), asyncio.Event()
        for message in (Subscribe(1, ("a/1",)), Subscribe(2, ("no/1",)), Unsubscribe(3, ("a/2",))):
            stage.conversation.take(message)
            assert not stage.conversation.settled, "it has not begun"
        await asyncio.sleep(1)
        assert not stage.conversation.settled, "it waits for a rule"
        rule.set()
        await asyncio.sleep(1)
        assert [message["type"] for message in stage.client.heard()] == ["error", "unsubscribed"]
        assert not stage.conversation.settled, "the rows are being read"
        stage.archive.gate.set()
        await asyncio.sleep(1)
        assert [message["type"] for message in stage.client.heard()] == ["subscribed"]
        assert stage.conversation.settled

    play(scene)


def test_nothing_is_taken_after_the_end() -> None:
    async def scene(stage: Stage) -> None:
        stage.conversation.end()
        stage.conversation.take(Subscribe(1, ("a/1",)))
        await asyncio.sleep(1)
        assert stage.doorkeeper.asked == []

    play(scene)


def test_the_id_that_a_client_brings_is_its_own_once_it_is_admitted() -> None:
    async def scene(stage: Stage) -> None:
        made = stage.client.connection.id
        mine = "c-" + "x" * 16
        assert (await stage.ask({"type": "hello", "token": "forged", "connection": mine}))[0]["code"] == "bad-token"
        assert stage.client.connection.id == made
        assert (await stage.ask({"type": "hello", "connection": mine}))[0]["connection"] == mine
        assert stage.client.connection.id == mine

    play(scene, admitted=False)


def test_haste_is_told_and_then_ended(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        gate = stage.shut("a/1")
        stage.say(subscribe("a/1", number=7))
        for number in range(8, 12):
            stage.say({"type": "unsubscribe", "id": number, "channels": ["a/1"]})
        told = stage.client.heard()
        assert [(message["code"], message.get("id")) for message in told] == [("too-fast", 10), ("too-fast", 11)]
        stage.say({"type": "ping"})
        stage.say({"type": "ping"})
        assert stage.client.connection.close_code == 4506
        gate.set()
        assert outcomes(await stage.ask()) == ["4506"]

    play(scene, burst=4)
    assert caplog.text.count("[too-fast]") == 1


def test_what_the_server_asks_for_its_client_is_no_haste() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(50):
            stage.conversation.take(Ping())
        assert outcomes(await stage.ask()) == ["pong"] * 50

    play(scene, burst=2)
