"""FastAPI, Starlette, any ASGI application: live while it runs, and what a request commits is its sender's own.

``FastAPI(lifespan=lifespan(realtime))`` starts and stops the broadcaster with the application.

``app.add_middleware(OwnWrites, realtime=realtime)``. What is committed after the response has begun, as in a background
task, is marked too; its position is not told. The answer says where the others are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqla_realtime.capture.origin import Author, origin_of
from sqla_realtime.errors import PortOfSibling
from sqla_realtime.realtime import Realtime

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Send], Awaitable[None]]


# How often a process whose siblings broadcast looks whether they still do, in seconds.
RETRY = 1.0


def lifespan(realtime: Realtime) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """What FastAPI and Starlette take as ``lifespan``: the broadcaster runs while the application does.

    Processes that share a log share the port as well. Where the system does not let them this one only writes, and takes
    over when the one that has the port has ended. Otherwise a taken port raises PortInUse. With ``embedded=False`` it only
    writes, whatever the others do.
    """

    @asynccontextmanager
    async def live(app: Any) -> AsyncIterator[None]:
        settled = not realtime.settings.embedded or await _start(realtime)
        taking_over = None if settled else asyncio.ensure_future(_take_over(realtime))
        try:
            yield
        finally:
            if taking_over is not None:
                taking_over.cancel()
                await asyncio.gather(taking_over, return_exceptions=True)
            await asyncio.to_thread(realtime.stop)

    return live


async def _start(realtime: Realtime) -> bool:
    try:
        await asyncio.to_thread(realtime.start)
    except PortOfSibling:
        return False
    return True


async def _take_over(realtime: Realtime) -> None:
    while True:
        await asyncio.sleep(RETRY)
        if await _start(realtime):
            return


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
        connection = _one(headers, b"x-realtime-connection") or _one(headers, b"x-socket-id")
        with self._realtime.origin(origin_of(connection, _one(headers, b"x-session-id"))) as author:

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
