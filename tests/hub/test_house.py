"""What is said to all conversations of one server: each of them hears it, those that have ended do not."""

from __future__ import annotations

import asyncio
import gc
import json
import time

import pytest

from sqla_realtime.commit import Commit, Entry, Order, Position
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Guest, Handshake, Refused
from tests.hub.fakes import Client, at
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


def test_a_servers_log_orders_what_to_look_at_and_a_gap_in_it_everything() -> None:
    async def scene(stage: Stage) -> None:
        stage.hub.obey = stage.house.obey
        await stage.ask(subscribe("a/1"))
        for order, identified, asked in (
            (Order("recheck", "a/1"), 0, 1),
            (Order("recheck", "b/1"), 0, 0),
            (Order("revoke", "somebody else"), 0, 0),
        ):
            stage.doorkeeper.asked.clear()
            stage.hub.dispatch(Entry(at(stage.hub.position.offset + 1), Commit((), orders=(order,))))
            await stage.ask()
            assert (len(stage.doorkeeper.reviewed), len(stage.doorkeeper.asked)) == (identified, asked)
        stage.doorkeeper.barred.add(("anonymous", "a/1"))
        flight = subscribe("a/2", number=2)
        stage.archive.gate = asyncio.Event()
        assert await stage.ask(flight) == []
        stage.doorkeeper.barred.add(("anonymous", "a/2"))
        stage.hub.jump(Position("f", 0))
        stage.archive.gate.set()
        heard = await stage.ask()
        assert len(stage.doorkeeper.reviewed) == 1, "a revocation may have been among what was jumped over"
        assert "rows" not in json.dumps(heard), "nor is a rule's old answer good for rows that are on their way"

    play(scene)


def test_a_conversation_that_nobody_ended_is_not_kept() -> None:
    async def scene(stage: Stage) -> None:
        Conversation(stage.house, Client().connection, Handshake())
        gc.collect()
        assert list(stage.house.conversations) == [stage.conversation]

    play(scene)
