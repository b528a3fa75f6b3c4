"""Tornado as its documentation has it: write_message() to each connection in a loop."""

from __future__ import annotations

import asyncio
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from benchmarks.fanout.peers.control import announce, control, message

channels: list[set[WebSocketHandler]] = [set() for _ in range(int(sys.argv[1]))]
published = 0


class Handler(WebSocketHandler):
    """One connection."""

    def open(self, channel: str) -> None:
        self.set_nodelay(True)
        self.members = channels[int(channel)]
        self.members.add(self)

    def on_close(self) -> None:
        self.members.discard(self)


async def publish(burst: int, stamp: int) -> None:
    """So many messages, each to the next channel."""
    global published
    for _ in range(burst):
        text = message(stamp)
        for handler in list(channels[published % len(channels)]):
            handler.write_message(text)
        published += 1


async def main() -> None:
    """Serve for ever."""
    sockets = bind_sockets(0, "127.0.0.1", backlog=4096)
    HTTPServer(Application([(r"/(\d+)", Handler)])).add_sockets(sockets)
    announce(sockets[0].getsockname()[1], await control(publish))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
