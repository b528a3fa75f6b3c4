"""A client for tests, on an independent WebSocket library: it speaks sqla-realtime.v1 and keeps what PROTOCOL.md says."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SUBPROTOCOL = "sqla-realtime.v1"
PATIENCE = 20.0

Rows = dict[str, dict[tuple[str, str], dict[str, Any]]]


class Peer:
    """One connection. ``rows`` holds what each channel shows; ``log`` every message heard, ``commits`` every commit's
    position and changes, in order."""

    def __init__(self, port: int, **options: Any) -> None:
        self._url = f"ws://127.0.0.1:{port}/realtime/ws"
        self._options = {"subprotocols": [SUBPROTOCOL], "max_size": None, "max_queue": None, **options}
        self.rows: Rows = {}
        self.position: str | None = None
        self.log: list[dict[str, Any]] = []
        self.commits: list[tuple[str, list[dict[str, Any]]]] = []

    async def __aenter__(self) -> Peer:
        self.socket: ClientConnection = await connect(self._url, **self._options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def cut(self) -> None:
        """The network breaks."""
        self.socket.transport.abort()
        await self.socket.wait_closed()

    @property
    def rest(self) -> bool:
        """Whether there are messages that have come already, with one that was received."""
        return False

    async def receive(self) -> str | None:
        """The next message as it came; None where the server has ended it."""
        try:
            return str(await self.socket.recv())
        except ConnectionClosed:
            return None

    async def say(self, message: dict[str, Any] | str | bytes) -> None:
        """Send one message, or whatever it is."""
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def hear(self) -> dict[str, Any]:
        """The next message, applied to the rows."""
        async with asyncio.timeout(PATIENCE):
            text = await self.receive()
        if text is None:
            raise EOFError(self.log[-1:])
        message: dict[str, Any] = json.loads(text)
        self.log.append(message)
        self.apply(message)
        return message

    async def until(self, wanted: Any) -> dict[str, Any]:
        """Hear messages up to the first for which ``wanted(message)`` holds."""
        while True:
            message = await self.hear()
            if wanted(message):
                return message

    async def hello(self, token: str | None = None) -> dict[str, Any]:
        """Introduce itself and hear the answer."""
        await self.say({"type": "hello"} | ({} if token is None else {"token": token}))
        return await self.hear()

    async def subscribe(self, *channels: str, after: str | None = None, number: int = 1) -> dict[str, Any]:
        """Join channels and hear the first answer."""
        message: dict[str, Any] = {"type": "subscribe", "id": number, "channels": list(channels)}
        await self.say(message | ({} if after is None else {"after": after}))
        return await self.until(lambda heard: heard.get("id") == number)

    async def closed(self) -> tuple[int | None, str]:
        """Hear everything up to the end; the close code and reason."""
        async with asyncio.timeout(PATIENCE):
            while (text := await self.receive()) is not None:
                self.log.append(json.loads(text))
        return self.socket.close_code, self.socket.close_reason or ""

    def apply(self, message: dict[str, Any]) -> None:
        """What a client does with a message."""
        if message.get("type") == "subscribed":
            for item in message["channels"]:
                if "rows" in item:
                    self.rows[item["channel"]] = {(row["class"], row["id"]): row["record"] for row in item["rows"]}
            for commit in message.get("commits", ()):
                self._commit(commit)
            self.position = message["position"]
        elif "commit" in message:
            self._commit(message)
        elif message.get("type") == "ping":
            self.position = message.get("position", self.position)

    def _commit(self, commit: dict[str, Any]) -> None:
        self.commits.append((commit["commit"], commit["changes"]))
        for change in commit["changes"]:
            rows, key = self.rows[change["channel"]], (change["class"], change["id"])
            if change["type"] == "destroy":
                rows.pop(key, None)
            else:
                rows[key] = change["record"]
        self.position = commit["commit"]
