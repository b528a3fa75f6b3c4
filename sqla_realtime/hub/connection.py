"""One browser, whatever carries it: what it has joined, and a bounded queue of what it is still to be sent."""

from __future__ import annotations

import secrets
import sys
from typing import Any

from sqla_realtime.commit import Position
from sqla_realtime.hub.merge import merge
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import CloseCode, Closing
from sqla_realtime.protocol.messages import Bye, Ping, Pong, Recovered, ServerMessage, Snapshot

# One message, or several in their order.
Queued = bytes | list[bytes]


class Connection:
    """The hub's end of a transport. Loop thread only.

    The transport has a class of its own, for ``wake``. Everything a client is sent goes through ``send``, error replies too.
    ``budget`` is how many bytes may wait. Past it commits that wait are sent as one, if that makes enough room; a client
    that still lets more pile up is cut, never left out silently. One message may be larger than the budget, as a snapshot
    can be, and does not count while it is on its way: it is what else there is that must not pile up. ``told`` is the last
    position that it was sent: where the client is when it has applied everything.
    """

    __slots__ = (
        "__weakref__", "_large", "_queue", "aborted", "budget", "channels", "close_code", "codec", "id", "pending",
        "sent_at", "told", "user",
    )  # fmt: skip

    def __init__(self, codec: Codec, budget: int) -> None:
        self.id = "c-" + secrets.token_urlsafe(12)
        self.codec = codec
        self.budget = budget
        self.user: Any = None
        self.channels: set[str] = set()
        self.told: Position | None = None
        self.pending = 0
        self.close_code: Closing | None = None
        self.aborted = False
        self.sent_at = 0.0
        # Most often there is one message, which needs no list: what is touched for every delivery is as little as can be.
        self._queue: Queued | None = None
        # The bytes of a message that is larger than the budget, while there is one.
        self._large = 0

    def settle(self) -> None:
        """Queue what is on its way to this connection and others together, and not in its own queue yet."""

    def send(self, data: bytes) -> None:
        """Queue one spelled message behind what is queued already. Never blocks; after a close it does nothing."""
        pending = self.pending + len(data)
        if pending > self.budget or self.close_code is not None:
            if not self._has_room(len(data)):
                return
            pending = self.pending + len(data)
        self.pending = pending
        queue = self._queue
        if queue is None:
            self._queue = data
            self.wake()
        elif isinstance(queue, list):
            queue.append(data)
        else:
            self._queue = [queue, data]

    def tell(self, message: ServerMessage) -> None:
        """Queue one message, spelled by the connection's own codec."""
        if not isinstance(message, Pong):  # which says nothing of where the client is
            self.settle()
        if isinstance(message, Snapshot | Recovered | Ping) and message.position is not None:
            self.told = message.position
        self.send(self.codec.encode(message))

    def wake(self) -> None:
        """There is something to drain where there was nothing, or the connection is to close. Must not block, or send."""

    def drain(self, most: int = sys.maxsize) -> Queued | None:
        """What is queued, in order: all of it, or until it has ``most`` bytes or more. It counts as pending until
        ``flushed`` says that it is gone."""
        queue, self._queue = self._queue, None
        if self.pending > most and isinstance(queue, list):
            size = 0
            for index, data in enumerate(queue, 1):
                size += len(data)
                if size >= most:
                    self._queue = queue[index:] or None
                    return queue[:index]
        return queue

    def flushed(self, size: int) -> None:
        """So many bytes have left for the network."""
        self.pending -= size
        if size >= self._large:
            self._large = 0

    def close(self, code: Closing, retry_after_ms: int | None = None) -> None:
        """Say goodbye after everything queued, then close."""
        if self.close_code is None:
            told = self.codec.closes(code)
            self.tell(Bye(told, told.reason, retry_after_ms))
        if self.close_code is None:
            self.close_code = code
            self.wake()

    def abort(self, code: CloseCode) -> None:
        """Give the connection up: there is no room left for a goodbye."""
        self._queue = None
        self.close_code = code
        self.aborted = True
        self.wake()

    def _has_room(self, size: int) -> bool:
        """Whether a message may be queued that is more than the budget, or comes when much is queued, or too late."""
        if self.close_code is not None:
            return False
        if self.pending - self._large > self.budget and not self._make_room():
            self.abort(CloseCode.SLOW_CONSUMER)
            return False
        if size > self.budget and not self._large:
            self._large = size
        return True

    def _make_room(self) -> bool:
        """Send as one what can be. Half of the budget must be free then, or it would be tried at every message."""
        if not self.codec.merges:
            return False
        queue = several(self.drain())
        merged = merge(queue, self.codec)
        self.pending += sum(map(len, merged)) - sum(map(len, queue))
        self._queue = merged or None
        return self.pending - self._large <= self.budget // 2


def several(queued: Queued | None) -> list[bytes]:
    """What was queued, as a list in any case."""
    if isinstance(queued, list):
        return queued
    return [] if queued is None else [queued]
