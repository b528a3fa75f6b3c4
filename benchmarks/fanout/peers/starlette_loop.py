"""Starlette under uvicorn: send_text() to each connection in a loop, as its users' connection managers do it."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from benchmarks.fanout.peers.control import announce, control, message

channels: list[set[WebSocket]] = [set() for _ in range(int(sys.argv[1]))]
published = 0


async def endpoint(connection: WebSocket) -> None:
    """One connection."""
    await connection.accept()
    members = channels[connection.path_params["channel"]]
    members.add(connection)
    try:
        while (await connection.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        members.discard(connection)


async def publish(burst: int, stamp: int) -> None:
    """So many messages, each to the next channel."""
    global published
    for _ in range(burst):
        text = message(stamp)
        for connection in list(channels[published % len(channels)]):
            await connection.send_text(text)
        published += 1


async def main() -> None:
    """Serve for ever."""
    app = Starlette(routes=[WebSocketRoute("/{channel:int}", endpoint)])
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        app, loop="asyncio", ws="websockets-sansio", ws_ping_interval=None, ws_per_message_deflate=False,
        log_level="critical", access_log=False, lifespan="off", backlog=4096,
    )  # fmt: skip
    announce(listening.getsockname()[1], await control(publish))
    await uvicorn.Server(config).serve([listening])


if __name__ == "__main__":
    asyncio.run(main())
