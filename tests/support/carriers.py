"""The Peer on the transports that are plain HTTP: what is said and heard is the same, so one test can run on all of them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from typing import Any

from tests.support.peer import Peer
from tests.support.web import Response, ask, request

Message = dict[str, Any]


class HttpPeer(Peer):
    """What both have in common. ``headers`` go with every request."""

    def __init__(self, port: int, **headers: str) -> None:
        super().__init__(port)
        self.port = port
        self.headers = headers
        self.connection = "c-" + secrets.token_urlsafe(16)
        self.refusal: tuple[int, Message] | None = None
        self._response: Response | None = None

    async def __aenter__(self) -> HttpPeer:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        if self._response is not None:
            response, self._response = self._response, None
            await response.close()

    async def _post(self, path: str, messages: list[Any]) -> Response:
        response = await request(self.port, path, json.dumps(messages), **self.headers)
        if response.status != 200:
            try:
                self.refusal = response.status, await response.json()
            finally:
                await response.close()
            raise ConnectionRefusedError(self.refusal)
        return response


class EventsPeer(HttpPeer):
    """On server-sent events: the hello opens the stream, what is said later goes over POST."""

    def __init__(self, port: int, **headers: str) -> None:
        super().__init__(port, **headers)
        self._lines = b""
        self._via: str | None = None
        # Requests that are under way at the same time may overtake each other.
        self._turn = asyncio.Lock()

    async def say(self, message: Message | str | bytes) -> None:
        if self._response is None:
            assert isinstance(message, dict)
            self._response = await self._post("/realtime/sse", [{"connection": self.connection, **message}])
            return
        text = json.dumps(message) if isinstance(message, dict) else message
        body = f'{{"connection": "{self.connection}", "via": {json.dumps(self._via)}, "messages": [{text}]}}'
        async with self._turn:
            status, _, answer = await ask(self.port, "/realtime/send", body, **self.headers)
        if status != 204:
            self.refusal = status, json.loads(answer)

    async def receive(self) -> str | None:
        while b"\n\n" not in self._lines:
            if self._response is None:
                raise EOFError
            piece = await self._response.piece()
            if not piece:
                return None
            self._lines += piece
        event, _, self._lines = self._lines.partition(b"\n\n")
        [data] = [line.removeprefix(b"data: ") for line in event.split(b"\n") if line.startswith(b"data: ")]
        message = json.loads(data)
        if message.get("type") == "hello":
            self._via = message.get("via")
        return data.decode()


class PollPeer(HttpPeer):
    """On the long-poll: each poll brings all channels and the position, each answer is taken as a whole. It attends again
    where it has attended."""

    def __init__(self, port: int, **headers: str) -> None:
        super().__init__(port, **headers)
        self._hello: Message | None = None
        self._joined: dict[str, None] = {}
        self._tags: dict[str, str] = {}
        self._said: list[Message] = []
        self._answers: deque[str] = deque()
        self._number = 10_000
        self._ended = False

    async def say(self, message: Message | str | bytes) -> None:
        assert isinstance(message, dict)
        if message["type"] == "hello":
            self._hello = {"connection": self.connection, **message}
        else:
            self._said.append(message)
        # What is heard on the way is not lost: the next poll asks for it again.
        await self.cut()

    async def hello(self, token: str | None = None) -> Message:
        """It is answered with the first poll."""
        await self.say({"type": "hello"} | ({} if token is None else {"token": token}))
        return {"type": "hello", "connection": self.connection}

    @property
    def rest(self) -> bool:
        return bool(self._answers)

    async def receive(self) -> str | None:
        while not self._answers:
            if self._ended:
                return None
            await self._poll()
        text = self._answers.popleft()
        self._note(json.loads(text))
        return text

    async def _poll(self) -> None:
        asked = [channel for channel in self._joined if not any(channel in said.get("channels", ()) for said in self._said)]
        self._number += 1
        again = {"type": "subscribe", "id": self._number, "channels": asked, "after": self.position}
        attends = [{"type": "attend", "id": 0, "channel": name, "tag": tag} for name, tag in self._tags.items()]
        said, self._said = self._said, []
        self._response = await self._post("/realtime/poll", [self._hello, *([again] if asked else []), *attends, *said])
        response = self._response
        try:
            messages = await response.json()
        finally:
            await self.cut()
        self._answers += map(json.dumps, messages)

    def _note(self, message: Message) -> None:
        match message.get("type"):
            case "subscribed":
                self._joined |= dict.fromkeys(item["channel"] for item in message["channels"])
            case "members" | "joined" | "left":
                self._tags[message["channel"]] = message["tag"]
            case "departed":
                self._tags.pop(message["channel"], None)
            case "unsubscribed" | "reset" | "leave":
                self._forget(message["channels"])
            case "error" if "channel" in message:
                self._forget([message["channel"]])
            case "bye":
                self._ended = True

    def _forget(self, channels: list[str]) -> None:
        for channel in channels:
            self._joined.pop(channel, None)
            self._tags.pop(channel, None)


KINDS: dict[str, type[Peer]] = {"websocket": Peer, "sse": EventsPeer, "poll": PollPeer}
