"""FastAPI, Starlette, any ASGI application: what a request commits is its sender's own, and the answer says where it is.

``app.add_middleware(OwnWrites, realtime=realtime)``. What is committed after the response has begun, as in a background
task, is marked too; its position is not told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from sqla_realtime.capture.origin import Author, origin_of
from sqla_realtime.realtime import Realtime

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Send], Awaitable[None]]


class OwnWrites:
    """Pure ASGI middleware, so that the request's own task, and what it starts, is who writes."""

    def __init__(self, app: App, realtime: Realtime) -> None:
        self._app = app
        self._realtime = realtime

    async def __call__(self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        with self._realtime.origin(
            origin_of(_one(headers, b"x-realtime-connection"), _one(headers, b"x-session-id"))
        ) as author:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start" and author.wrote:
                    message = await _told(message, author)
                await send(message)

            await self._app(scope, receive, answer)


def _one(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """A header's value; None where it is missing, or was sent more than once."""
    values = [value for key, value in headers if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


async def _told(message: Message, author: Author) -> Message:
    """The beginning of a response with the position, waited for without blocking the loop."""
    position = author.position(0) or await asyncio.to_thread(author.position)
    if position is None:
        return message
    return {**message, "headers": [*message.get("headers", ()), (b"x-realtime-position", str(position).encode())]}
