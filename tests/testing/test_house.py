"""The server of a client: what it is given is what it uses, and it leaves nothing on its loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.hub.connection import several
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.testing.house import QuietHouse
from tests.support.outer import PAGES, Shop
from tests.support.scene import live


@live
async def test_a_house_opens_hears_and_ends(sqlite: Engine) -> None:
    shop = Shop(sqlite)
    entered = []

    @contextmanager
    def scope() -> Iterator[None]:
        entered.append(True)
        yield

    shop.realtime._application.scope = scope
    house = QuietHouse(shop.realtime, MemoryBroker(), "ada", None)
    before, heard = asyncio.all_tasks(), asyncio.Event()
    conversation = await house.open(Handshake(), heard.set)
    conversation.receive('{"type": "hello"}')
    await heard.wait()
    assert conversation.connection.user == "ada"
    [hello] = several(conversation.connection.drain())
    assert b'"hello"' in hello
    heard.clear()
    conversation.receive(json.dumps({"type": "subscribe", "id": 1, "channels": [PAGES]}))
    await heard.wait()
    [subscribed] = several(conversation.connection.drain())
    assert b'"subscribed"' in subscribed
    assert len(entered) == 2, "the rule and the rows"
    await house.settle()
    conversation.end()
    await house.close()
    assert asyncio.all_tasks() == before
