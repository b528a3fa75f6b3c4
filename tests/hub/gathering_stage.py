"""A stage for members and what they say: one server's shared parts, and as many clients as a scene needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Guest, Handshake
from tests.hub.fakes import Client
from tests.hub.stage import Stage, served
from tests.support.virtual import run

Message = dict[str, Any]


class GatheringStage(Stage):
    """Whoever comes with a token is the user of that name, whose id is its first letter; "" is anonymous."""

    async def visitor(self, name: str, connection: str | None = None) -> Visitor:
        self.doorkeeper.guests[name] = Guest(name or None, id=name[:1] or None)
        made = Visitor(self)
        told = await made.ask({"type": "hello", "token": name} | ({} if connection is None else {"connection": connection}))
        assert [message["type"] for message in told] == ["hello"]
        return made


class Visitor:
    """One client of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.client = Client()
        self.conversation = Conversation(stage.house, self.client.connection, Handshake())
        self._number = 0

    @property
    def connection(self) -> Any:
        return self.client.connection

    async def ask(self, *messages: Message) -> list[Message]:
        """Say these and hear everything that is told until nothing happens any more, which takes no time to speak of."""
        for message in messages:
            self._number += 1
            self.conversation.hear(self.connection.codec.decode(json.dumps({"id": self._number, **message})))
        await asyncio.sleep(0.001)
        return self.client.heard()

    async def attend(self, channel: str, **more: Any) -> list[Message]:
        return await self.ask({"type": "attend", "channel": channel, **more})

    async def say(self, channel: str, data: Any = "hello", name: str = "wave", **more: Any) -> list[Message]:
        return await self.ask({"type": "say", "channel": channel, "name": name, "data": data, **more})

    def heard(self) -> list[Message]:
        return self.client.heard()

    def end(self) -> None:
        self.conversation.end()


def brief(messages: list[Message]) -> list[str]:
    """Each message in a few words: its type, or the code of an error, and what there is to it."""
    found = []
    for message in messages:
        words = [message.get("reason") or message.get("code") or message["type"]]
        match message:
            case {"members": members}:
                words += [member["id"] for member in members]
            case {"member": {"id": name}} | {"member": name}:
                words.append(name)
            case {"from": name, "data": data}:
                words += [name, str(data)]
        found.append(" ".join(words))
    return found


def gathered(scene: Callable[[GatheringStage], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """Run a scene on a stage of its own."""

    async def whole() -> None:
        async with served(GatheringStage(**settings)) as stage:
            assert isinstance(stage, GatheringStage)
            await scene(stage)

    run(whole())
