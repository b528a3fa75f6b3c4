"""A client of Pusher's protocol on an independent WebSocket library, which signs by itself what an endpoint would sign."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from sqla_realtime.protocol.pusher_signatures import admission, sign

PATIENCE = 20.0


class PusherPeer:
    """One connection of a user's. ``heard`` is everything so far: event, channel, and data as it reads."""

    def __init__(self, port: int, app: dict[str, Any], user: str) -> None:
        self._port = port
        self._app = app
        self.user = user
        self.heard: list[tuple[str, str | None, Any]] = []

    async def __aenter__(self) -> PusherPeer:
        url = f"ws://127.0.0.1:{self._port}/app/{self._app['key']}?protocol=7"
        self._socket: ClientConnection = await connect(url)
        self.id = (await self.until("pusher:connection_established"))["socket_id"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    def is_at(self, pid: int) -> bool:
        """Whether it is this process that it is connected to."""
        port = self._socket.transport.get_extra_info("sockname")[1]
        return any(each.raddr and each.raddr.port == port for each in psutil.Process(pid).net_connections("tcp"))

    async def say(self, event: str, **data: Any) -> None:
        await self._socket.send(json.dumps({"event": event, "data": data}))

    async def join(self, channel: str) -> Any:
        """Join a channel; what it is answered."""
        data = {"channel": channel}
        if channel.startswith("presence-"):
            member = data["channel_data"] = json.dumps({"user_id": self.user})
            data["auth"] = f"{self._app['key']}:{sign(self._app['secret'], admission(self.id, channel, member))}"
        await self.say("pusher:subscribe", **data)
        return await self.until("pusher_internal:subscription_succeeded")

    async def until(self, event: str, **wanted: Any) -> Any:
        """The data of the next such event that has this in it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = json.loads(await self._socket.recv())
                data = message.get("data")
                data = json.loads(data) if isinstance(data, str) else data
                self.heard.append((message["event"], message.get("channel"), data))
                if message["event"] == event and (not wanted or wanted.items() <= data.items()):
                    return data

    async def gone(self) -> int | None:
        """Wait until the connection has ended; the code."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    await self._socket.recv()
            except ConnectionClosed:
                return self._socket.close_code
