"""Carries a connection's queue to the network: all that is queued in one write, the next once the socket has taken it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, StreamClosedError

from sqla_realtime.hub.connection import Connection


class Pump:
    """Between one connection and what carries it, from the first message to ``stop``.

    ``write`` frames messages and gives them to the stream; its future is done when the socket has them. ``drained`` is
    called when nothing is left to write: the place to close.
    """

    __slots__ = ("_connection", "_drained", "_scheduled", "_stopped", "_stream", "_write", "_writing")

    def __init__(
        self,
        connection: Connection,
        stream: IOStream,
        write: Callable[[list[bytes]], asyncio.Future[None]],
        drained: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._write = write
        self._drained = drained
        self._writing = 0
        self._scheduled = False
        self._stopped = False
        connection.wake = self.wake

    def stop(self) -> None:
        """Nothing is written from now on."""
        self._stopped = True

    def wake(self) -> None:
        """There may be something to do: do it soon."""
        if self._stopped or self._scheduled:
            return
        # A write that waits for a reader who has stopped must not keep its connection from being given up.
        if not self._writing or self._connection.aborted:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Write everything that is queued in one call; what the socket does not take waits there for the next turn."""
        self._scheduled = False
        if self._stopped:
            return
        if self._connection.aborted:
            self._stream.close()
            return
        messages = self._connection.drain()
        if messages:
            self._send(messages)
        else:
            self._drained()

    def _send(self, messages: list[bytes]) -> None:
        self._writing = sum(map(len, messages))
        self._connection.sent_at = asyncio.get_running_loop().time()
        try:
            future = self._write(messages)
        except StreamClosedError:
            return
        if future.done():
            self._written(future)
        else:
            future.add_done_callback(self._written)

    def _written(self, future: asyncio.Future[Any]) -> None:
        # Without an error, or with one that the end of the stream tells too.
        if future.exception() is None and not self._stopped:
            self._connection.flushed(self._writing)
            self._writing = 0
            self.wake()
