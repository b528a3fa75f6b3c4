"""A connection on a stream: what is queued goes to the socket in one send, the next once the socket has taken it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream

from sqla_realtime.hub.connection import Connection, Queued
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.transports.flusher import Flusher, Write


class Pump(Connection):
    """Carried from ``attach`` to ``stop``. Loop thread only.

    What is queued goes straight to the socket; only what that does not take, or what comes behind such, goes through the
    stream's buffer. It is the connection itself and not beside it, because of every object that a delivery touches.
    """

    __slots__ = (
        "_asked", "_drained", "_flusher", "_frame", "_most", "_sending", "_socket", "_stopped", "_stream", "_taking",
        "_was_large", "_writing",
    )  # fmt: skip

    def __init__(self, codec: Codec, budget: int) -> None:
        super().__init__(codec, budget)
        # The last write that is in the stream's buffer, and how many bytes of the queue are there.
        self._taking: asyncio.Future[None] | None = None
        self._writing = 0
        # How many bytes of the queue the flusher is just about to send, and what was large before.
        self._sending = self._was_large = 0
        self._asked = False
        self._stopped = True

    def attach(
        self,
        stream: IOStream,
        flusher: Flusher,
        frame: Callable[[Queued], bytes],
        drained: Callable[[], None],
        *,
        most: int = sys.maxsize,
    ) -> None:
        """Begin to write to a stream.

        ``frame`` makes of messages what stands on the wire, and is called once a turn. ``drained`` is called where a turn
        finds nothing queued: the place to close. One send takes ``most`` bytes and the rest of a message; what waits behind
        it stays in the queue, where it is shared and can be made less.
        """
        self._stream = stream
        self._socket = stream.socket
        self._flusher = flusher
        self._frame = frame
        self._drained = drained
        self._most = most
        self._stopped = False
        # Nothing has waited for longer than this.
        self.sent_at = asyncio.get_running_loop().time()
        if stream.writing():
            self.say(b"")  # which is done when what was written before is

    def stop(self) -> None:
        """Nothing of the queue is written from now on."""
        self._stopped = True

    def wake(self) -> None:
        """There may be something to do: do it soon."""
        if self._asked or self._stopped:
            return
        # A write that waits for a reader who has stopped must not keep its connection from being given up.
        if self._taking is None or self.aborted:
            self._asked = True
            self._flusher.ask(self)

    def turn(self, now: float) -> Write | None:
        self._asked = False
        if self._stopped:
            return None
        if self.aborted:
            self._stream.close()
            return None
        if self._taking is not None:
            return None  # which wakes when it is done
        queued = self.drain(self._most)
        if queued is None:
            self._drained()
            return None
        self.sent_at = now
        data = self._frame(queued)
        self._sending = sum(map(len, queued)) if isinstance(queued, list) else len(queued)
        # It is as good as gone: the flusher says so where it is not, before anything else happens.
        self._was_large = self._large
        self.flushed(self._sending)
        if self.pending or self.close_code is not None:
            self.wake()
        return self, self._socket, data

    def kept(self, data: bytes, sent: int | None) -> None:
        if sent is None:
            self._stream.close()
        else:
            self.pending += self._sending
            self._large = self._was_large
            self._writing += self._sending
            self.say(data[sent:])

    def say(self, data: bytes) -> asyncio.Future[None] | None:
        """Write what is no message, behind all that has been written; None where nobody is there any more."""
        try:
            future = self._stream.write(data)
        except OSError:
            return None
        self._taking = future
        if future.done():
            self._taken(future)
        else:
            future.add_done_callback(self._taken)
        return future

    def _taken(self, future: asyncio.Future[Any]) -> None:
        # Without an error, or with one that the end of the stream tells too; and all that was written before it is gone.
        if future is self._taking and future.exception() is None:
            self._taking = None
            self.flushed(self._writing)
            self._writing = 0
            self.wake()
