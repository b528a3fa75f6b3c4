"""What is said to all conversations of one server: each of them hears it, those that have ended do not."""

from __future__ import annotations

import gc
import time

import pytest

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Guest, Handshake, Refused
from tests.hub.fakes import Client
from tests.hub.stage import Stage, outcomes, play, subscribe


@pytest.mark.parametrize("explain", [True, False])
def test_a_fix_is_told_in_development(explain: bool) -> None:
    async def scene(stage: Stage) -> None:
        stage.house.refuse(stage.client.connection, Refused("forbidden", "no", "do"), "a", 3)
        [error] = stage.client.heard()
        assert error == {"type": "error", "code": "forbidden", "message": "no", "channel": "a", "id": 3} | (
            {"fix": "do"} if explain else {}
        )

    play(scene, explain=explain)


def test_everybody_hears_of_it_and_each_asks_for_its_own() -> None:
    async def scene(stage: Stage) -> None:
        stage.doorkeeper.guests["t"] = Guest("you", time.time() + 1000, "8")
        second = Client()
        other = Conversation(stage.house, second.connection, Handshake())
        await stage.ask(subscribe("a/1"))
        other.receive('{"type":"hello","token":"t"}')
        other.receive('{"type":"subscribe","id":1,"channels":["a/1"]}')
        await stage.ask()
        second.heard()
        stage.doorkeeper.asked.clear()
        stage.house.recheck("a/1")
        assert outcomes(await stage.ask()) == outcomes(second.heard()) == ["subscribed a/1"]
        assert {user for user, _ in stage.doorkeeper.asked} == {"anonymous", "you"}
        stage.house.revoke("8")
        assert await stage.ask() == []
        assert outcomes(second.heard()) == ["subscribed a/1"]
        other.end()
        assert list(stage.house.conversations) == [stage.conversation]

    play(scene)


def test_a_conversation_that_nobody_ended_is_not_kept() -> None:
    async def scene(stage: Stage) -> None:
        Conversation(stage.house, Client().connection, Handshake())
        gc.collect()
        assert list(stage.house.conversations) == [stage.conversation]

    play(scene)
