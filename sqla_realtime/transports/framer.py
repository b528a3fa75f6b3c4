"""Messages as they stand on a WebSocket, made once for all who are sent the same."""

from __future__ import annotations

from sqla_realtime.hub.connection import Queued
from sqla_realtime.hub.frame import Frame
from sqla_realtime.transports.framing import TEXT, head


class Framer:
    """Remembers the last messages that it joined, because in one loop turn the next connection is often sent the same.

    ``lines``: each line of a message is one of its own, as in dialects that have a message for each change.
    """

    __slots__ = ("_joined", "_last", "_lines")

    def __init__(self, *, lines: bool = False) -> None:
        self._lines = lines
        self._last: list[bytes] = []
        self._joined = b""

    def framed(self, queued: Queued) -> bytes:
        """The messages as frames, one behind the other."""
        if isinstance(queued, Frame) and queued.framed is not None:
            return queued.framed
        if not isinstance(queued, list):
            return self._framed(queued)
        if queued != self._last:  # where they are the same objects nothing is compared byte by byte
            self._last, self._joined = queued, b"".join(map(self._framed, queued))
        return self._joined

    def _framed(self, data: bytes) -> bytes:
        if not isinstance(data, Frame):
            return self._wire(data)
        if data.framed is None:
            data.framed = self._wire(data)
        return data.framed

    def _wire(self, data: bytes) -> bytes:
        if not self._lines:
            return head(TEXT, len(data)) + data
        return b"".join([head(TEXT, len(line)) + line for line in data.split(b"\n") if line])
