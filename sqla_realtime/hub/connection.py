"""One browser, whatever carries it: what it has joined, and a bounded queue of what it is still to be sent."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from sqla_realtime.commit import Position
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.messages import Bye, Ping, Recovered, ServerMessage, Snapshot


class Connection:
    """The hub's end of a transport. Loop thread only.

    The transport sets ``wake``, which must not block or send by itself: it is called whenever there is something to
    drain or the connection is to close. Everything a client is sent goes through ``send``, error replies too.
    ``budget`` is how many bytes may wait; a client that lets more pile up is cut, never left out silently. One message
    may be larger than the budget, as a snapshot can be: it is what came before it that must be on its way.
    ``told`` is the last position that it was sent: where the client is when it has applied everything.
    """

    __slots__ = (
        "__weakref__", "_queue", "aborted", "budget", "channels", "close_code", "codec", "id", "pending", "sent_at",
        "told", "user", "wake",
    )  # fmt: skip

    def __init__(self, codec: Codec, budget: int) -> None:
        self.id = "c-" + secrets.token_urlsafe(12)
        self.codec = codec
        self.budget = budget
        self.user: Any = None
        self.channels: set[str] = set()
        self.told: Position | None = None
        self.pending = 0
        self.close_code: CloseCode | None = None
        self.aborted = False
        self.sent_at = 0.0
        self.wake: Callable[[], None] = _nothing
        self._queue: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Queue one spelled message. Never blocks; after a close it does nothing."""
        if self.close_code is not None:
            return
        if self.pending > self.budget:
            self.abort(CloseCode.SLOW_CONSUMER)
            return
        self._queue.append(data)
        self.pending += len(data)
        self.wake()

    def tell(self, message: ServerMessage) -> None:
        """Queue one message, spelled by the connection's own codec."""
        if isinstance(message, Snapshot | Recovered | Ping) and message.position is not None:
            self.told = message.position
        self.send(self.codec.encode(message))

    def drain(self) -> list[bytes]:
        """Everything queued, in order. It counts as pending until ``flushed`` says that it is gone."""
        queue, self._queue = self._queue, []
        return queue

    def flushed(self, size: int) -> None:
        """So many bytes have left for the network."""
        self.pending -= size

    def close(self, code: CloseCode, retry_after_ms: int | None = None) -> None:
        """Say goodbye after everything queued, then close."""
        if self.close_code is None:
            self.tell(Bye(code, code.reason, retry_after_ms))
        if self.close_code is None:
            self.close_code = code
            self.wake()

    def abort(self, code: CloseCode) -> None:
        """Give the connection up: there is no room left for a goodbye."""
        self._queue.clear()
        self.close_code = code
        self.aborted = True
        self.wake()


def _nothing() -> None:
    """Until a transport listens, nobody is woken."""
