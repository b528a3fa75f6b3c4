"""Rights that end, are renewed, revoked and rechecked: at no moment is anything sent that nobody has said may be."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from sqla_realtime.commit import Position
from sqla_realtime.hub.doors import Guest, Handshake, Refused
from sqla_realtime.hub.rights import DOUBTS, ROUNDS
from sqla_realtime.protocol.codes import ErrorCode
from tests.hub.fakes import Client, join, put, residue, row
from tests.hub.stage import Stage, outcomes, play, subscribe
from tests.hub.test_conversation import left


def renew() -> dict[str, Any]:
    return {"type": "renew", "id": 9, "token": "more"}


async def signed_in(stage: Stage, *channels: str, life: float = 30) -> None:
    """The client is user 7 for so many seconds, known as "me", and in these channels; a token "more" would make it "me+"."""
    stage.doorkeeper.guests["short"] = Guest("me", time.time() + life, "7")
    stage.doorkeeper.guests["more"] = Guest("me+", time.time() + 1000, "7")
    await stage.hello("short")
    if channels:
        await stage.ask(subscribe(*channels))


def users(stage: Stage, channel: str) -> list[Any]:
    """Who the rule of a channel was asked about, in order."""
    return [user for user, name in stage.doorkeeper.asked if name == channel]


# Expiry.


def test_when_the_token_ends_nothing_more_is_sent() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "a/2", life=5)
        await asyncio.sleep(4)
        [message] = stage.client.heard()
        assert message == {"type": "needs_auth", "reason": "token-expired"}
        assert residue(stage.hub) == {}
        stage.broker.add(put("a/1", 1))
        answers = await stage.ask(subscribe("a/1", "a/2", number=4), {"type": "ping"})
        assert outcomes(answers) == ["needs-auth a/1", "needs-auth a/2", "pong"]
        assert {answer.get("id") for answer in answers} == {4, None}
        assert len(users(stage, "a/1")) == 1, "no rule is asked for somebody without rights"
        await asyncio.sleep(10)
        assert outcomes(stage.client.heard()) == ["4501"]

    play(scene, admitted=False)


def test_a_renewal_after_the_end_loses_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=3)
        stage.broker.add(put("a/1", 1, 1))
        await asyncio.sleep(3)
        stage.broker.add(put("a/1", 2, 2))
        await asyncio.sleep(2)
        stage.client.heard()
        known = stage.client.position
        assert known == "e.1"
        answers = await stage.ask(renew(), subscribe("a/1", after=known))
        assert answers[0] == {"type": "renewed", "id": 9}
        assert [each["commit"] for each in answers[1]["commits"]] == ["e.2"]
        stage.broker.add(put("a/1", 3, 3))
        await asyncio.sleep(900)
        assert stage.client.shown == {"a/1": {"1": 1, "2": 2, "3": 3}}
        assert stage.client.connection.close_code is None

    play(scene, admitted=False)


def test_a_position_grants_nothing_after_a_renewal_either() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=3)
        stage.doorkeeper.barred.add(("me+", "a/1"))
        await asyncio.sleep(3)
        stage.client.heard()
        assert outcomes(await stage.ask(renew(), subscribe("a/1", after="e.0"))) == ["renewed", "forbidden a/1"]

    play(scene, admitted=False)


def test_several_tokens_in_a_row() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=30)
        for _ in range(5):
            stage.doorkeeper.guests["more"] = Guest("me", time.time() + 30, "7")
            await asyncio.sleep(20)
            assert outcomes(await stage.ask(renew())) == ["renewed"]
        stage.broker.add(put("a/1", 1))
        assert outcomes(await stage.ask()) == ["commit"]
        # The virtual clock runs ahead of the real one that tokens go by: 30 s from the last renewal.
        await asyncio.sleep(30)
        assert outcomes(stage.client.heard()) == ["needs_auth"]

    play(scene, admitted=False)


def test_a_token_without_an_end_ends_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=30)
        stage.doorkeeper.guests["more"] = Guest("me", None, "7")
        await stage.ask(renew())
        await asyncio.sleep(10_000)
        assert stage.client.heard() == []

    play(scene, admitted=False)


def test_the_end_while_a_rule_is_asked_admits_to_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, life=5)
        gate = stage.shut("a/2")
        await stage.ask(subscribe("a/1", "a/2", number=3))
        await asyncio.sleep(5)
        assert outcomes(stage.client.heard()) == ["needs_auth"]
        gate.set()
        assert outcomes(await stage.ask()) == ["needs-auth a/1", "needs-auth a/2"]
        stage.broker.add(put("a/1", 1), put("a/2", 1))
        assert await stage.ask() == []
        assert residue(stage.hub) == {}

    play(scene, admitted=False)


def test_the_end_while_rows_are_read_answers_the_request_and_sends_no_row() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, life=5)
        stage.archive.tables["a/1"] = [row(1)]
        stage.archive.gate = asyncio.Event()
        await stage.ask(subscribe("a/1", number=3))
        await asyncio.sleep(5)
        needed, error = stage.client.heard()
        assert needed["type"] == "needs_auth"
        assert (error["code"], error["channel"], error["id"]) == ("needs-auth", "a/1", 3)
        stage.archive.gate.set()
        assert await stage.ask() == []
        assert residue(stage.hub) == {}

    play(scene, admitted=False)


@pytest.mark.parametrize("gate", ["identify", "a/1"])
def test_the_end_while_a_renewal_is_looked_at_is_an_end_and_then_a_renewal(gate: str) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=5)
        opened = stage.shut(gate)
        await stage.ask(renew())
        await asyncio.sleep(5)
        assert outcomes(stage.client.heard()) == ["needs_auth"]
        opened.set()
        assert outcomes(await stage.ask(subscribe("a/1", after="e.0"))) == ["renewed", "subscribed a/1"]
        await asyncio.sleep(900)
        assert stage.client.connection.close_code is None

    play(scene, admitted=False)


# Renewal.


def test_a_renewal_asks_every_rule_as_the_new_identity_and_leaves_what_is_refused() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "a/2", "a/3")
        stage.doorkeeper.barred |= {("me+", "a/1"), ("me+", "a/3")}
        gone, renewed = await stage.ask(renew())
        assert (gone["type"], sorted(gone["channels"]), gone["reason"]) == ("leave", ["a/1", "a/3"], "forbidden")
        assert renewed == {"type": "renewed", "id": 9}
        assert users(stage, "a/2") == ["me", "me+"]
        assert stage.client.connection.user == "me+"
        stage.broker.add(put("a/1", 1), put("a/2", 2), put("a/3", 3))
        [commit] = await stage.ask()
        assert [change["channel"] for change in commit["changes"]] == ["a/2"]

    play(scene, admitted=False)


def test_a_renewal_answers_what_still_waits_for_its_rows() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage)
        stage.archive.gate = asyncio.Event()
        await stage.ask(subscribe("a/1", "a/2", number=3))
        stage.doorkeeper.barred.add(("me+", "a/1"))
        error, renewed = await stage.ask(renew())
        assert (error["code"], error["channel"], error["id"]) == ("forbidden", "a/1", 3)
        assert renewed["type"] == "renewed"
        stage.archive.gate.set()
        assert outcomes(await stage.ask()) == ["subscribed a/2"]

    play(scene, admitted=False)


def test_a_renewal_waits_for_the_subscribe_before_it() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage)
        gate = stage.shut("a/1")
        assert await stage.ask(subscribe("a/1"), renew()) == []
        gate.set()
        assert sorted(outcomes(await stage.ask())) == ["renewed", "subscribed a/1"]
        assert users(stage, "a/1") == ["me", "me+"]

    play(scene, admitted=False)


def test_until_the_rules_have_answered_the_old_token_holds() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1")
        gate = stage.shut("a/1")
        await stage.ask(renew())
        stage.broker.add(put("a/1", 1))
        assert outcomes(await stage.ask()) == ["commit"]
        gate.set()
        assert outcomes(await stage.ask()) == ["renewed"]

    play(scene, admitted=False)


@pytest.mark.parametrize(
    ("guest", "code"),
    [
        (Guest("you", None, "8"), "forbidden"), (Guest(), "forbidden"),
        (Refused(ErrorCode.TOKEN_EXPIRED, "old"), "token-expired"), (Refused(ErrorCode.BAD_TOKEN, "forged"), "bad-token"),
    ],
)  # fmt: skip
def test_a_token_that_does_not_do_changes_nothing(guest: Guest | Refused, code: str) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=30)
        stage.doorkeeper.guests["more"] = guest
        for _ in range(20):
            [error] = await stage.ask(renew())
            assert (error["code"], error["id"]) == (code, 9)
        assert stage.client.connection.user == "me"
        assert users(stage, "a/1") == ["me"]
        stage.broker.add(put("a/1", 1))
        assert outcomes(await stage.ask()) == ["commit"]
        await asyncio.sleep(10)
        assert outcomes(stage.client.heard()) == ["needs_auth"], "the old token's end stays"

    play(scene, admitted=False)


def test_nobody_renews_before_hello_and_an_anonymous_client_becomes_nobody() -> None:
    async def scene(stage: Stage) -> None:
        assert outcomes(await stage.ask(renew())) == ["hello-required"]
        await stage.hello()
        stage.doorkeeper.guests["more"] = Guest("me", None, "7")
        assert outcomes(await stage.ask(renew())) == ["forbidden"]

    play(scene, admitted=False)


# Revoking and rechecking.


def test_a_revocation_holds_everything_until_the_rule_has_said_yes() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "b/1")
        gate = stage.shut("review")
        stage.house.revoke("7")
        for offset in range(3):
            stage.broker.add(put("a/1", offset, 5), put("x/1", 1))
        assert await stage.ask() == []
        gate.set()
        [message] = await stage.ask()
        assert (message["type"], message["position"]) == ("subscribed", "e.3")
        assert "id" not in message
        assert sorted(item["channel"] for item in message["channels"]) == ["a/1", "b/1"]
        assert all(item["recovered"] for item in message["channels"])
        assert [each["commit"] for each in message["commits"]] == ["e.1", "e.2", "e.3"]
        stage.broker.add(put("a/1", 9, 9))
        assert outcomes(await stage.ask()) == ["commit"]
        assert stage.client.shown["a/1"] == {"0": 5, "1": 5, "2": 5, "9": 9}

    play(scene, admitted=False)


def test_what_was_lost_is_left_and_nothing_of_it_is_ever_sent() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "a/2")
        stage.doorkeeper.changed["7"] = Guest("demoted", None, "7")
        stage.doorkeeper.barred.add(("demoted", "a/1"))
        stage.house.revoke("7")
        stage.broker.add(put("a/1", 66, 66), put("a/2", 2, 2))
        gone, back = await stage.ask()
        assert gone == {"type": "leave", "channels": ["a/1"], "reason": "forbidden"}
        assert [item["channel"] for item in back["channels"]] == ["a/2"]
        assert [change["channel"] for each in back["commits"] for change in each["changes"]] == ["a/2"]
        assert stage.client.connection.user == "demoted"
        assert b"66" not in b"".join(stage.client.frames)

    play(scene, admitted=False)


def test_a_revocation_is_about_one_user() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1")
        stage.house.revoke("8")
        assert not stage.hub._held
        assert await stage.ask() == []
        assert users(stage, "a/1") == ["me"]
        assert stage.doorkeeper.reviewed == []

    play(scene, admitted=False)


def test_somebody_who_is_in_nothing_is_still_looked_up_again() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage)
        stage.doorkeeper.changed["7"] = Guest("demoted", None, "7")
        stage.doorkeeper.barred.add(("demoted", "a/1"))
        stage.house.revoke("7")
        assert outcomes(await stage.ask(subscribe("a/1"))) == ["forbidden a/1"]

    play(scene, admitted=False)


def test_a_revocation_while_a_rule_is_asked_has_it_asked_again() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage)
        gate = stage.shut("a/1")
        await stage.ask(subscribe("a/1"))
        stage.doorkeeper.changed["7"] = Guest("demoted", None, "7")
        stage.doorkeeper.barred.add(("demoted", "a/1"))
        stage.house.revoke("7")
        gate.set()
        assert outcomes(await stage.ask()) == ["forbidden a/1"]
        assert users(stage, "a/1") == ["me", "demoted"]
        assert residue(stage.hub) == {}

    play(scene, admitted=False)


def test_a_revocation_while_somebody_is_identified_has_it_identified_again() -> None:
    async def scene(stage: Stage) -> None:
        users, gate = ["before", "after"], asyncio.Event()

        async def slow(handshake: Handshake, token: str | None) -> Guest:
            guest = Guest(users.pop(0), None, "7")
            await gate.wait()
            return guest

        stage.doorkeeper.identify = slow  # type: ignore[method-assign]
        await stage.ask({"type": "hello", "token": "t"})
        stage.house.revoke("7")
        gate.set()
        assert outcomes(await stage.ask()) == ["hello"]
        assert stage.client.connection.user == "after"

    play(scene, admitted=False)


def test_a_revocation_while_a_renewal_is_looked_at() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "a/2")
        gate = stage.shut("a/2")
        await stage.ask(renew())
        stage.doorkeeper.changed["7"] = Guest("demoted", None, "7")
        stage.doorkeeper.barred |= {("demoted", "a/1"), ("me+", "a/2")}
        stage.house.revoke("7")
        stage.broker.add(put("a/1", 1), put("a/2", 1))
        assert await stage.ask() == []
        gate.set()
        assert outcomes(await stage.ask()) == ["leave", "renewed", "leave"]
        assert stage.client.connection.channels == set()

    play(scene, admitted=False)


def test_of_two_revocations_the_later_answer_counts() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1")
        gate = stage.shut("a/1")
        stage.house.revoke("7")
        await asyncio.sleep(1)
        stage.doorkeeper.barred.add(("me", "a/1"))
        gate.clear()
        stage.house.revoke("7")
        stage.broker.add(put("a/1", 1))
        gate.set()
        assert outcomes(await stage.ask()) == ["leave"]

    play(scene, admitted=False)


def test_an_answer_that_came_before_the_second_revocation_is_not_used() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "a/2")
        gate = stage.shut("a/2")
        stage.house.revoke("7")
        await asyncio.sleep(1)  # a/1 has been answered with yes
        stage.doorkeeper.barred.add(("me", "a/1"))
        stage.house.recheck("a/1")
        gate.set()
        gone, back = await stage.ask()
        assert gone["channels"] == ["a/1"]
        assert [item["channel"] for item in back["channels"]] == ["a/2"]

    play(scene, admitted=False)


@pytest.mark.parametrize("named", ["a/1", "a/{x}"])
def test_a_recheck_asks_for_what_it_names_and_holds_whoever_is_in_it(named: str) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "b/1")
        gate = stage.shut("a/1")
        stage.house.recheck(named)
        stage.broker.add(put("b/1", 1, 1))
        # What is withheld would be passed over by the position that b/1 brings.
        assert await stage.ask() == []
        gate.set()
        [message] = await stage.ask()
        assert message["position"] == "e.1"
        assert (users(stage, "a/1"), users(stage, "b/1")) == (["me", "me"], ["me"])
        assert stage.doorkeeper.reviewed == []

    play(scene, admitted=False)


def test_a_recheck_of_something_else_disturbs_nobody() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1")
        for name in ("a/2", "b/{x}", "a", ""):
            stage.house.recheck(name)
        assert not stage.hub._held
        assert await stage.ask() == []
        assert users(stage, "a/1") == ["me"]

    play(scene, admitted=False)


def test_a_recheck_of_something_else_while_a_rule_is_asked_leaves_its_answer_alone() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage)
        gate = stage.shut("a/1")
        await stage.ask(subscribe("a/1"))
        stage.house.recheck("b/{x}")
        gate.set()
        assert outcomes(await stage.ask()) == ["subscribed a/1"]
        assert users(stage, "a/1") == ["me"]

    play(scene, admitted=False)


def test_more_doubts_than_can_be_told_apart_are_about_everything() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "b/1")
        for number in range(1000):
            stage.house.recheck(f"c/{number}")
        gate = stage.shut("a/1")
        for _ in range(1000):
            stage.house.recheck("a/1")
        assert len(stage.conversation._rights._concerned) <= DOUBTS
        assert len(stage.conversation._rights._doubts) <= DOUBTS
        gate.set()
        assert outcomes(await stage.ask()) == ["subscribed a/1 b/1"]
        assert users(stage, "b/1") == ["me", "me"]

    play(scene, admitted=False)


def test_a_rule_that_puts_itself_in_doubt_ends_somewhere(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage)
        admit = stage.doorkeeper.admit

        async def restless(user: Any, channel: str) -> str:
            stage.house.recheck(channel)
            return await admit(user, channel)

        stage.doorkeeper.admit = restless  # type: ignore[method-assign]
        assert outcomes(await stage.ask(subscribe("a/1"))) == ["4500"]
        assert len(users(stage, "a/1")) == ROUNDS

    play(scene, admitted=False)
    assert "[rights-unsettled]" in caplog.text


@pytest.mark.parametrize("refused", [False, True])
def test_a_recheck_while_the_rows_are_read_answers_the_request_once(refused: bool) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage)
        stage.archive.gate = asyncio.Event()
        stage.archive.tables["a/1"] = [row(1)]
        await stage.ask(subscribe("a/1", number=3))
        gate = stage.shut("a/1")
        stage.house.recheck("a/1")
        stage.archive.gate.set()
        assert await stage.ask() == [], "the rows were sent before the rule's answer"
        if refused:
            stage.doorkeeper.barred.add(("me", "a/1"))
        gate.set()
        [answer] = await stage.ask()
        assert answer["id"] == 3
        assert outcomes([answer]) == [f"{'forbidden' if refused else 'subscribed'} a/1"]
        assert (residue(stage.hub) == {}) is refused

    play(scene, admitted=False)


def test_what_cannot_be_resumed_is_reset() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "b/1")
        gate = stage.shut("a/1")
        stage.house.recheck("a/1")
        stage.broker.add(put("b/1", 1, 1), invalidated=["a/1"])
        await asyncio.sleep(1)
        gate.set()
        reset, back = await stage.ask()
        assert [item["channel"] for item in back["channels"]] == ["b/1"]
        assert reset == {"type": "reset", "channels": ["a/1"], "reason": "invalidated"}
        assert stage.client.connection.channels == {"b/1"}

    play(scene, admitted=False)


def test_a_log_that_was_lost_meanwhile_resets_everything() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "b/1")
        gate = stage.shut("a/1")
        stage.house.recheck("a/1")
        stage.hub.jump(Position("f", 9))
        gate.set()
        [reset] = await stage.ask()
        assert (reset["type"], sorted(reset["channels"])) == ("reset", ["a/1", "b/1"])
        assert residue(stage.hub) == {}

    play(scene, admitted=False)


def test_messages_wait_until_the_rules_have_answered() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "a/2")
        gate = stage.shut("a/1")
        stage.house.recheck("a/1")
        assert await stage.ask({"type": "unsubscribe", "id": 2, "channels": ["a/2"]}, subscribe("a/3")) == []
        gate.set()
        assert outcomes(await stage.ask()) == ["subscribed a/1 a/2", "unsubscribed", "subscribed a/3"]
        assert stage.client.connection.channels == {"a/1", "a/3"}

    play(scene, admitted=False)


def test_the_end_of_the_token_while_it_is_held() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=5)
        gate = stage.shut("a/1")
        stage.house.revoke("7")
        await asyncio.sleep(5)
        assert outcomes(stage.client.heard()) == ["needs_auth"]
        gate.set()
        stage.broker.add(put("a/1", 1))
        assert await stage.ask() == []
        assert residue(stage.hub) == {}

    play(scene, admitted=False)


def test_a_revocation_of_somebody_without_rights_changes_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=2)
        await asyncio.sleep(2)
        stage.client.heard()
        stage.house.revoke("7")
        assert await stage.ask() == []
        assert outcomes(await stage.ask(renew(), subscribe("a/1"))) == ["renewed", "subscribed a/1"]

    play(scene, admitted=False)


@pytest.mark.parametrize("gate", ["review", "a/1"])
def test_leaving_while_the_rules_are_asked_again(gate: str) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", "a/2", life=1000)
        stage.shut(gate)
        stage.house.revoke("7")
        await stage.ask()
        await left(stage)
        assert not list(stage.house.conversations)

    play(scene, admitted=False)


@pytest.mark.parametrize("gate", ["identify", "a/1"])
def test_leaving_while_a_renewal_is_looked_at(gate: str) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1", life=1000)
        stage.shut(gate)
        await stage.ask(renew())
        await left(stage)

    play(scene, admitted=False)


def test_whoever_cannot_be_looked_up_again_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1")

        async def broken(*given: Any) -> Guest:
            raise ZeroDivisionError

        stage.doorkeeper.review = broken  # type: ignore[method-assign]
        stage.house.revoke("7")
        stage.broker.add(put("a/1", 1))
        assert outcomes(await stage.ask()) == ["4500"]

    play(scene, admitted=False)
    assert "[message-failed]" in caplog.text


def test_others_do_not_notice() -> None:
    async def scene(stage: Stage) -> None:
        await signed_in(stage, "a/1")
        other = Client()
        join(stage.hub, other, "a/1")
        stage.shut("a/1")
        stage.house.revoke("7")
        stage.broker.add(put("a/1", 1))
        await asyncio.sleep(1)
        assert outcomes(other.heard()) == ["commit"]
        stage.hub.close(other.connection)
        await left(stage)

    play(scene, admitted=False)
