"""A conversation in Pusher's protocol: who gets in where, what a signature is worth, and what clients may say."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from sqla_realtime.commit import Event
from sqla_realtime.hub.pusher_conversation import EVENTS
from sqla_realtime.hub.rights import Rights
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.pusher_codes import PusherCode
from tests.hub.pusher_stage import Caller, PusherStage
from tests.support.virtual import run

IN = "pusher_internal:subscription_succeeded"
NOT_FOR_YOU = {"type": "AuthError", "error": "There is no such channel, or it is not for you.", "status": 403}
CREATED = {"id": "1", "class": "Row", "record": {"v": 1}}


def play(scene: Any, **settings: bool) -> None:
    async def whole() -> None:
        await scene(PusherStage(**settings))

    run(whole())


def test_a_public_channel_is_one_that_is_for_anyone() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        assert re.fullmatch(r"\d+\.\d+", client.connection.id)
        await client.join("open,1")
        await client.join("open,1")
        assert client.heard() == [(IN, "open,1", {})] * 2
        stage.tell("open/1")
        stage.doubt("open/1")
        stage.tell("open/1")
        stage.tell("open/2")
        assert client.heard() == [
            ("create", "open,1", CREATED), ("reset", "open,1", {"reason": "invalidated"}), ("create", "open,1", CREATED),
        ]  # fmt: skip
        await client.say("pusher:unsubscribe", {"channel": "open,1"})
        await client.say("pusher:unsubscribe", {"channel": "open,1"})
        stage.tell("open/1")
        assert client.heard() == []
        assert not client.connection.channels
        assert list(next(iter(stage.desks)).rooms) == []

    play(scene)


@pytest.mark.parametrize("name", ["ruled,1", "no,1", "bare,1", "a/b", "", "#x", "#server-to-user-7", "private-x,1"])
def test_whatever_else_is_refused_alike(name: str) -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        await client.say("pusher:subscribe", {"channel": name, "auth": ""})
        assert client.heard() == [("pusher:subscription_error", name, NOT_FOR_YOU)]
        stage.tell(name.removeprefix("private-").replace(",", "/"))
        assert client.heard() == []

    play(scene)


def test_a_private_channel_takes_a_signature_for_this_connection() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        await client.join("private-ruled,1", secret="another secret, that is wrong")  # noqa: S106
        await client.join("private-ruled,1", socket="1.2")
        await client.join("private-bare,1")
        assert [event for event, _, _ in client.heard()] == ["pusher:subscription_error"] * 3
        await client.join("private-ruled,1")
        await client.join("private-no,1")
        assert client.heard() == [(IN, "private-ruled,1", {}), (IN, "private-no,1", {})]
        stage.tell("ruled/1")
        assert client.heard() == [("create", "private-ruled,1", CREATED)]

    play(scene)


def test_changes_come_by_the_names_that_were_asked_for() -> None:
    async def scene(stage: PusherStage) -> None:
        client, other = stage.client(), stage.client()
        await client.join("private-ruled,1")
        await client.join("presence-ruled,1", "ann")
        await other.join("private-open,1")
        await other.join("private-encrypted-ruled,1")
        client.heard(), other.heard()
        stage.tell("ruled/1")
        stage.tell("open/1")
        assert [channel for _, channel, _ in client.heard()] == ["private-ruled,1", "presence-ruled,1"]
        assert [channel for _, channel, _ in other.heard()] == ["private-open,1"]
        await client.say("pusher:unsubscribe", {"channel": "private-ruled,1"})
        stage.tell("ruled/1")
        assert [channel for _, channel, _ in client.heard()] == ["presence-ruled,1"]
        await client.say("pusher:unsubscribe", {"channel": "presence-ruled,1"})
        stage.tell("ruled/1")
        assert client.heard() == []

    play(scene)


def test_who_made_a_commit_does_not_hear_of_it() -> None:
    async def scene(stage: PusherStage) -> None:
        author, other = stage.client(), stage.client()
        for each in (author, other):
            await each.join("open,1")
            each.heard()
        stage.tell("open/1", author.connection.id)
        assert (author.heard(), other.heard()) == ([], [("create", "open,1", CREATED)])

    play(scene)


async def _in_private(stage: PusherStage, user: str | None = None) -> Caller:
    client = stage.client()
    await client.join("private-ruled,1", user)
    assert client.names() == [IN]
    return client


def test_a_revocation_ends_the_connections_that_it_may_be_about() -> None:
    async def scene(stage: PusherStage) -> None:
        unknown, ann, bob = await _in_private(stage), await _in_private(stage, "ann"), await _in_private(stage, "bob")
        public, signed_in = stage.client(), stage.client()
        await public.join("open,1")
        await signed_in.sign_in("ann")
        stage.stage.house.revoke("ann")
        assert [each.code for each in (unknown, ann, bob, public, signed_in)] == [4200, 4200, None, None, 4200]
        stage.tell("ruled/1")
        assert (ann.heard(), bob.names()) == ([], ["create"])

    play(scene)


def test_a_signature_from_before_a_revocation_is_worth_nothing() -> None:
    async def scene(stage: PusherStage) -> None:
        client, other = stage.client(), stage.client()
        stage.stage.house.revoke("ann")
        await client.join("private-ruled,1", "bob")
        await client.join("private-ruled,2", "ann")
        assert (client.code, client.names()) == (4200, [IN])
        await other.sign_in("ann")
        assert other.code == 4200

    play(scene)


def test_a_recheck_ends_whoever_was_signed_in_to_the_channel() -> None:
    async def scene(stage: PusherStage) -> None:
        client, other, public = await _in_private(stage, "ann"), stage.client(), stage.client()
        await other.join("private-other,1", "ann")
        await public.join("open,1")
        stage.stage.house.recheck("ruled/1")
        stage.stage.house.recheck("open/{x}")
        assert (client.code, other.code, public.code) == (4200, None, None)
        stage.stage.house.recheck("other/{x}")
        assert other.code == 4200
        await public.join("open,2")
        stage.tell("open/1")
        assert public.names()[-1] == "create", "the rule of a public channel has been asked again, and says yes"

    play(scene)


def test_what_was_signed_for_a_token_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)

    async def scene(stage: PusherStage) -> None:
        client, late, gone = stage.client(), stage.client(), stage.client()
        for number, expires in enumerate((1060, 1030.5, 1090)):
            await client.join(f"private-no,{number}", "ann", expires=expires)
        await late.join("private-no", "ann", expires=1000)
        await gone.join("private-no", "ann", expires=1010)
        gone.conversation.end()
        assert (client.names(), client.code, late.code) == ([IN] * 3, None, 4200)
        await asyncio.sleep(30)
        assert client.code is None
        await asyncio.sleep(1)
        assert client.code == 4200

    play(scene)


def test_presence_tells_each_user_once() -> None:
    async def scene(stage: PusherStage) -> None:
        ann, again, bob = stage.client(), stage.client(), stage.client()
        await ann.join("presence-no", "ann")
        assert ann.heard() == [
            (IN, "presence-no", {"presence": {"count": 1, "ids": ["ann"], "hash": {"ann": {"name": "Ann"}}}})
        ]
        await again.join("presence-no", "ann")
        await bob.join("presence-no", "bob")
        assert ann.heard() == [
            ("pusher_internal:member_added", "presence-no", {"user_id": "bob", "user_info": {"name": "Bob"}})
        ]
        again.conversation.end()
        bob.conversation.end()
        assert ann.heard() == []
        await ann.say("pusher:ping")
        ann.heard()
        await asyncio.sleep(4)
        assert ann.heard() == [("pusher_internal:member_removed", "presence-no", {"user_id": "bob"})]
        await ann.join("presence-x", "x" * 1500)
        assert ann.names() == ["pusher:subscription_error"], "what is told of a member has a bound"
        await ann.join("presence-x")
        assert ann.names() == ["pusher:subscription_error"], "a presence channel takes a user"

    play(scene)


def test_words_between_clients() -> None:
    async def scene(stage: PusherStage) -> None:
        ann, bob, outside = stage.client(), stage.client(), stage.client()
        for each, user in ((ann, "ann"), (bob, "bob")):
            await each.join("private-no", user)
            await each.join("presence-no", user)
            await each.join("open,1")
            await each.join("private-encrypted-x", user)
        ann.heard(), bob.heard()
        await ann.say("client-a", {"b": 1}, channel="private-no")
        await ann.say("client-a", "text", channel="presence-no")
        assert bob.heard() == [("client-a", "private-no", {"b": 1}), ("client-a", "presence-no", "text")]
        assert ann.heard() == []
        for channel in ("open,1", "private-encrypted-x", "private-other"):
            await ann.say("client-a", 1, channel=channel)
        await outside.say("client-a", 1, channel="private-no")
        assert [data["code"] for _, _, data in ann.heard() + outside.heard()] == [4009] * 4
        assert bob.heard() == []
        await bob.say("pusher:ping")
        for _ in range(EVENTS):
            await bob.say("client-a", 1, channel="private-no")
        assert "pusher:error" not in bob.names()
        await bob.say("client-a", 1, channel="private-no")
        assert [data["code"] for _, _, data in bob.heard()] == [4301]

    play(scene)


def test_clients_say_nothing_where_the_application_does_not_let_them() -> None:
    async def scene(stage: PusherStage) -> None:
        client = await _in_private(stage)
        await client.say("client-a", 1, channel="private-ruled,1")
        assert client.names() == ["pusher:error"]

    play(scene, client_events=False)


def test_who_is_signed_in_may_join_its_own_channel_alone() -> None:
    async def scene(stage: PusherStage) -> None:
        client, liar, changed = stage.client(), stage.client(), stage.client()
        await client.sign_in("7")
        await client.join("#server-to-user-7")
        await client.join("#server-to-user-8")
        assert client.names() == ["pusher:signin_success", IN, "pusher:subscription_error"]
        await liar.sign_in("7", secret="another secret, that is wrong")  # noqa: S106
        await changed.sign_in("7")
        await changed.sign_in("8")
        assert (liar.code, changed.code) == (4009, 4009)
        desk = next(iter(stage.desks))
        desk.terminate("8")
        assert client.code is None
        desk.terminate("7")
        assert client.code == 4009

    play(scene)


def test_applications_do_not_hear_each_other() -> None:
    async def scene(stage: PusherStage) -> None:
        one, two = stage.client(), stage.client("other-key")
        await one.join("open,1")
        await two.join("open,1")
        await two.join("private-x")
        assert two.names() == [IN, "pusher:subscription_error"], "the key in a signature is another's"
        one.heard()
        stage.publish(Event("1", "open,1", "news", "1"))
        stage.publish(Event("3", "open,1", "news", "1"))
        assert (one.names(), two.names()) == (["news"], [])

    play(scene)


def test_a_connection_may_join_so_many() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        for number in range(6):
            await client.join(f"private-no,{number}")
        assert client.names() == [IN] * 5 + ["pusher:subscription_error"]
        for _ in range(70):
            stage.stage.house.revoke("x")
        await client.join("private-no,1")
        assert len(client.conversation._doubts) <= 64

    play(scene)


def test_what_makes_no_sense_is_told_and_ends_it_in_the_end() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        client.conversation.receive("nonsense")
        assert client.names() == ["pusher:error"]
        for _ in range(9):
            client.conversation.receive("nonsense")
        assert client.code == 4400
        assert client.heard()[-1] == ("pusher:error", None, {"code": 4300, "message": "refused"})

    play(scene)


def test_who_is_silent_is_asked_however_much_it_is_sent_and_then_closed() -> None:
    async def scene(stage: PusherStage) -> None:
        client, answering = stage.client(), stage.client()
        for caller in (client, answering):
            await caller.join("open,1")
            assert caller.names() == [IN]
        for seconds in range(0, 100, 5):
            await asyncio.sleep(5)
            stage.tell("open/1")
            for caller in (client, answering):
                caller.conversation.look(asyncio.get_running_loop().time())
            told = answering.names()
            if "pusher:ping" in told:
                await answering.say("pusher:pong")
            assert told in (["create"], ["create", "pusher:ping"]), seconds
        assert answering.code is None
        # After 25 seconds it was asked, once; after 50 it was closed, after 75 not waited for.
        assert client.code == CloseCode.SLOW_CONSUMER
        assert client.connection.aborted

    play(scene)


def test_who_does_not_answer_is_told_so() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        for seconds in range(0, 60, 5):
            client.conversation.look(seconds)
            assert client.code == (4201 if seconds > 50 else None), seconds
        assert client.names() == ["pusher:ping"]

    play(scene)


def test_an_alias_is_another_name_of_all_its_channels() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        await client.join("alias,open1-open2")
        assert client.names() == [IN]
        for channel in ("open1", "open2", "open3"):
            stage.tell(channel)
        assert client.heard() == [("create", "alias,open1-open2", CREATED)] * 2
        await client.join("open1")
        assert client.names() == [IN]
        stage.tell("open1")
        assert [channel for _, channel, _ in client.heard()] == ["alias,open1-open2", "open1"]
        await client.say("pusher:unsubscribe", {"channel": "alias,open1-open2"})
        for channel in ("open1", "open2"):
            stage.tell(channel)
        assert client.heard() == [("create", "open1", CREATED)]
        assert client.connection.channels == {"open1"}

    play(scene)


def test_who_is_in_one_of_an_aliass_channels_by_right_loses_it_with_that() -> None:
    async def scene(stage: PusherStage) -> None:
        client = stage.client()
        await client.join("private-alias,open1-ruled", "7")
        assert client.names() == [IN]
        stage.stage.house.recheck("other")
        assert client.code is None
        stage.stage.house.recheck("ruled")
        assert client.code == 4200

    play(scene)


def test_whoever_is_closed_while_rules_are_asked_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: PusherStage) -> None:
        client, other = stage.client(), stage.client()
        for each in (client, other):
            await each.join("private-no")
        other.heard()

        async def review(rights: Rights) -> None:
            client.connection.close(PusherCode.RECONNECT)

        monkeypatch.setattr(Rights, "review", review)
        await client.say("client-a", 1, channel="private-no")
        assert other.heard() == []

    play(scene)
