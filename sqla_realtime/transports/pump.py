"""A connection on a stream: what is to be sent goes to the socket in one send, the next once the socket has taken it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tornado.iostream import IOStream

from sqla_realtime.hub.connection import Connection, Queued
from sqla_realtime.hub.edition import Edition
from sqla_realtime.protocol.codec import Codec

if TYPE_CHECKING:
    from sqla_realtime.transports.flusher import Flusher, Write


class Pump(Connection):
    """Carried from ``attach`` to ``stop``. Loop thread only.

    What is queued goes straight to the socket; only what that does not take, or what comes behind such, goes through the
    stream's buffer. It is the connection itself and not beside it, because of every object that a delivery touches.
    """

    __slots__ = (
        "_alike", "_asked", "_drained", "_flusher", "_frame", "_idle", "_most", "_sending", "_socket", "_stopped", "_stream",
        "_taking", "_was_large", "_writing",
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
        # Whether its messages look as others' do on the wire; and if so, whether nothing at all waits before the next.
        self._alike = self._idle = False

    def attach(
        self,
        stream: IOStream,
        flusher: Flusher,
        frame: Callable[[Queued], bytes],
        drained: Callable[[], None],
        *,
        most: int = sys.maxsize,
        alike: bool = False,
    ) -> None:
        """Begin to write to a stream.

        ``frame`` makes of messages what stands on the wire, and is called once a turn. ``drained`` is called where a turn
        finds nothing queued: the place to close. One send takes ``most`` bytes and the rest of a message; what waits behind
        it stays in the queue, where it is shared and can be made less. ``alike``: what ``frame`` makes of messages is the
        same for all who speak the same codec.
        """
        self._stream = stream
        self._socket = stream.socket
        self._flusher = flusher
        self._frame = frame
        self._drained = drained
        self._most = most
        self._stopped = False
        self._alike = alike
        # Nothing has waited for longer than this.
        self.sent_at = asyncio.get_running_loop().time()
        if stream.writing():
            self.say(b"")  # which is done when what was written before is
        elif not self.pending:
            self._idle = alike

    def stop(self) -> None:
        """Nothing of the queue is written from now on."""
        self._stopped = True
        self._idle = False

    def settle(self) -> None:
        if not self._stopped:
            self._flusher.settle()

    def wake(self) -> None:
        """There may be something to do: do it soon."""
        self._idle = False
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
            self._idle = self._alike and not (self.pending or self._stopped or self.close_code)
            return None
        self.sent_at = now
        data = self._frame(queued)
        self._sending = sum(map(len, queued)) if isinstance(queued, list) else len(queued)
        # It is as good as gone: the flusher says so where it is not, before anything else happens.
        self._was_large = self._large
        self.flushed(self._sending)
        if self.pending or self.close_code is not None:
            self.wake()
        else:
            self._idle = self._alike
        return self, self._socket, data

    @staticmethod
    def visit(pumps: Sequence[Pump], editions: Sequence[Edition], now: float) -> list[Write]:
        """What is to be sent to many who are brought the same, in their order; who cannot take it at once has it queued.

        It is a turn of each without its queue. What cannot be spelled is raised before anybody has been given anything.
        """
        wires: dict[Codec, tuple[bytes, int]] = {}
        for codec, pump in {pump.codec: pump for pump in pumps if pump._idle}.items():
            frames: list[bytes] = [edition.frame(codec) for edition in editions]
            wires[codec] = pump._frame(frames if len(frames) > 1 else frames[0]), sum(map(len, frames))
        position = editions[-1].position
        writes: list[Write] = []
        last: Codec | None = None
        for pump in pumps:
            if not pump._idle:
                for edition in editions:
                    edition.give(pump)
                continue
            if pump.codec is not last:
                last = pump.codec
                data, size = wires[last]
            pump.told = position
            pump.sent_at = now
            pump._sending = size
            pump._was_large = 0
            writes.append((pump, pump._socket, data))
        return writes

    def kept(self, data: bytes, sent: int | None) -> None:
        self._idle = False
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
        self._idle = False
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
