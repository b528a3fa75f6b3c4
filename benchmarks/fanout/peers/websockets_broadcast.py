"""The websockets library with its own broadcast(), compression off."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.fanout.peers.control import announce, control, message

channels: list[set[ServerConnection]] = [set() for _ in range(int(sys.argv[1]))]
published = 0


async def handler(connection: ServerConnection) -> None:
    """One connection."""
    members = channels[int(connection.request.path.strip("/"))] if connection.request else set()
    members.add(connection)
    try:
        await connection.wait_closed()
    finally:
        members.discard(connection)


async def publish(burst: int, stamp: int) -> None:
    """So many messages, each to the next channel."""
    global published
    for _ in range(burst):
        broadcast(channels[published % len(channels)], message(stamp))
        published += 1


async def main() -> None:
    """Serve for ever."""
    options = {"compression": None, "ping_interval": None, "backlog": 4096}
    async with serve(handler, "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]  # of several types
        announce(next(iter(server.sockets)).getsockname()[1], await control(publish))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
