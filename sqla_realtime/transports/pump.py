"""Carries a connection's queue to the network: all that is queued in one write, the next once the socket has taken it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, StreamClosedError

from sqla_realtime.hub.connection import Connection
from sqla_realtime.transports.flusher import Flusher


class Pump:
    """Between one connection and what carries it, from the first message to ``stop``.

    ``write`` frames messages and sends them; it returns None where the socket has them, otherwise a future that is done
    when it has. ``drained`` is called when nothing is left to write: the place to close. One write takes ``most`` bytes
    and the rest of a message; what waits behind it stays in the queue, where it is shared and can be made less.
    """

    __slots__ = ("_asked", "_connection", "_drained", "_flusher", "_most", "_stopped", "_stream", "_write", "_writing")

    def __init__(
        self,
        connection: Connection,
        stream: IOStream,
        flusher: Flusher,
        write: Callable[[list[bytes]], asyncio.Future[None] | None],
        drained: Callable[[], None],
        *,
        most: int = sys.maxsize,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._flusher = flusher
        self._write = write
        self._drained = drained
        self._most = most
        self._writing = 0
        self._asked = False
        self._stopped = False
        connection.wake = self.wake

    def stop(self) -> None:
        """Nothing is written from now on."""
        self._stopped = True

    def wake(self) -> None:
        """There may be something to do: do it soon."""
        if self._stopped or self._asked:
            return
        # A write that waits for a reader who has stopped must not keep its connection from being given up.
        if not self._writing or self._connection.aborted:
            self._asked = True
            self._flusher.ask(self._turn)

    def _turn(self) -> None:
        """Write what is queued in one call; what the socket does not take waits there for the next turn."""
        self._asked = False
        connection = self._connection
        if self._stopped:
            return
        if connection.aborted:
            self._stream.close()
            return
        before = connection.pending
        messages = connection.drain(self._most)
        if not messages:
            self._drained()
            return
        size = before if before <= self._most else sum(map(len, messages))
        connection.sent_at = asyncio.get_running_loop().time()
        self._writing = size
        try:
            future = self._write(messages)
        except StreamClosedError:
            return
        if future is None:
            self._gone()
            if connection.pending or connection.close_code is not None:
                self.wake()
        elif future.done():
            self._written(future)
        else:
            future.add_done_callback(self._written)

    def _written(self, future: asyncio.Future[Any]) -> None:
        # Without an error, or with one that the end of the stream tells too.
        if future.exception() is None and not self._stopped:
            self._gone()
            self.wake()

    def _gone(self) -> None:
        self._connection.flushed(self._writing)
        self._writing = 0
