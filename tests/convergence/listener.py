"""A browser's plain EventSource as the HTML standard has it: one URL, `retry`, `Last-Event-ID`, and not a word of its own.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from urllib.parse import urlencode

from tests.convergence.shown import Lie, Message, Shown
from tests.support.web import Response, request


class Listener(Shown):
    """Nobody in particular; what it wants is in its URL, so that another wish is another EventSource."""

    def __init__(self, name: str, port: int, channels: set[str]) -> None:
        super().__init__(name, None)
        self.kind, self.wanted, self._port = "eventsource", channels, port
        self._last_id = ""
        self._response: Response | None = None

    # What the oracle has it do.

    async def want(self, channel: str) -> None:
        if not channel.startswith("mine/"):
            await self._anew(self.wanted | {channel})

    async def drop(self, channel: str) -> None:
        if self.wanted - {channel}:
            await self._anew(self.wanted - {channel})

    async def cut(self, kind: str | None = None) -> None:
        if self._response is not None:
            with suppress(OSError):
                await self._response.close()

    def live_for(self, seconds: float) -> None:
        """It has no token."""

    async def renew(self) -> None:
        """It has no token."""

    async def ping(self) -> None:
        """It can't say anything."""

    # What it does by itself.

    async def _lost(self) -> None:
        await self.cut()

    async def _anew(self, channels: set[str]) -> None:
        if channels != self.wanted:
            self.wanted, self.rows, self._live, self._last_id, self.position = channels, {}, set(), "", None
            await self.cut()

    async def _connect(self) -> None:
        self.counts["connections"] += 1
        wanted = self.wanted
        path = "/realtime/sse?" + urlencode([("channel", name) for name in sorted(wanted)])
        response = self._response = await request(self._port, path, Last_Event_ID=self._last_id or None)
        lines = b""
        while self._awake.is_set() and wanted is self.wanted:
            async with asyncio.timeout(8):
                piece = await response.piece()
            if not piece or wanted is not self.wanted:
                return
            lines += piece
            while b"\n\n" in lines:
                event, _, lines = lines.partition(b"\n\n")
                self._dispatch(event.decode())

    def _dispatch(self, event: str) -> None:
        data = []
        for line in event.split("\n"):
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            elif field == "id":
                self._last_id = value.removeprefix(" ")
        if data:
            [text] = data
            self._listen(text)
            self._hear(json.loads(text))
            self._check_pairs(text)
            self.moved()

    def _hear(self, message: Message) -> None:
        match message.get("type"):
            case "subscribed":
                recovered = {item["channel"] for item in message["channels"] if item.get("recovered")}
                self.counts["recovered"] += len(recovered)
                for item in message["channels"]:
                    if item["channel"] not in self.wanted:
                        raise Lie(f"{self.name} hears of {item['channel']}, for which it has not asked")
                    if not item.get("recovered"):
                        self._fill(item)
                    self._live.add(item["channel"])
                self._missed(message, recovered)
                self._move(message["position"], strictly=False)
            case None:
                self._changes(message, self._live)
                self._move(message["commit"], strictly=True)
            case "ping" if message.get("position"):
                self._move(message["position"], strictly=False)
            case "reset":
                self.counts["resets"] += len(message["channels"])
                self._live -= set(message["channels"])
            case "hello" | "ping" | "bye" | "error":
                pass
            case other:
                raise Lie(f"{self.name} heard of {other}")
