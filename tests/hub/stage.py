"""A stage for conversations: one server's shared parts, scripted, and a client, in time that passes by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.hub.feed import Feed
from sqla_realtime.hub.house import House
from sqla_realtime.hub.pace import Rate
from sqla_realtime.hub.snapshots import Snapshots
from tests.hub.fakes import Client, ScriptedArchive, ScriptedBroker, ScriptedDoorkeeper, make_hub
from tests.support.virtual import run


class Stage:
    """One server's shared parts, scripted, and one client in conversation with it."""

    def __init__(self, subscriptions: int = 5, max_errors: int = 10, explain: bool = False, burst: int = 1000) -> None:
        self.hub, self.broker = make_hub(), ScriptedBroker()
        self.feed = Feed(self.broker, self.hub)
        self.doorkeeper, self.archive = ScriptedDoorkeeper(), ScriptedArchive()
        self.snapshots = Snapshots(self.hub, self.feed, self.broker, self.archive)
        self.house = House(
            hub=self.hub,
            snapshots=self.snapshots,
            doorkeeper=self.doorkeeper,
            ping_interval=25.0,
            subscriptions=subscriptions,
            max_errors=max_errors,
            explain=explain,
            rate=Rate(1.0, burst, 3, lambda: 0.0),
        )
        self.client = Client()
        self.conversation = Conversation(self.house, self.client.connection, Handshake())

    def say(self, message: Any) -> None:
        self.conversation.receive(message if isinstance(message, str) else json.dumps(message))

    async def ask(self, *messages: Any) -> list[dict[str, Any]]:
        """Say these and hear everything that is answered in a second."""
        for message in messages:
            self.say(message)
        await asyncio.sleep(1)
        return self.client.heard()

    async def hello(self, token: str | None = None) -> None:
        [answer] = await self.ask({"type": "hello"} | ({} if token is None else {"token": token}))
        assert answer["type"] == "hello"

    def shut(self, gate: str) -> asyncio.Event:
        self.doorkeeper.gates[gate] = asyncio.Event()
        return self.doorkeeper.gates[gate]


@asynccontextmanager
async def served(stage: Stage) -> AsyncIterator[Stage]:
    task = asyncio.ensure_future(stage.feed.run())
    await asyncio.sleep(0)
    yield stage
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


Scene = Callable[[Stage], Coroutine[Any, Any, None]]


def play(scene: Scene, *, admitted: bool = True, **settings: Any) -> None:
    """Run a scene on a stage of its own, by default after a hello."""

    async def whole() -> None:
        async with served(Stage(**settings)) as stage:
            if admitted:
                await stage.hello()
            await scene(stage)

    run(whole())


def subscribe(*channels: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": "subscribe", "id": number, "channels": list(channels), **more}


def outcomes(messages: list[dict[str, Any]]) -> list[str]:
    """Each answer as ``type`` or ``code`` and the channel that it is about."""
    found = []
    for message in messages:
        names = [item["channel"] for item in message.get("channels", ()) if isinstance(item, dict)] or [
            message.get("channel", "")
        ]
        found.append(f"{message.get('code', message.get('type', 'commit'))} {' '.join(names)}".strip())
    return found
