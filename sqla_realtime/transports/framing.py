"""WebSocket frames as RFC 6455 has them and no other: bytes in, messages and control frames out, or the code of a mistake."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# Close codes of RFC 6455 7.4.1, as far as a server says them.
PROTOCOL_ERROR = 1002
NOT_TEXT = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011

# What a client may say when it closes: RFC 6455 7.4, and what IANA has registered since.
_SAYABLE = frozenset({*range(1000, 1004), *range(1007, 1015)})

_utf8 = codecs.getincrementaldecoder("utf-8")


class Violation(Exception):
    """What has come is no WebSocket; ``code`` is what the connection is closed with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with the same data."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A sign of life."""


@dataclass(frozen=True, slots=True)
class Close:
    """The client ends it. ``code`` is None where it gave none."""

    code: int | None


# A text message, a binary one, or a control frame.
Event = str | bytes | Ping | Pong | Close


class Reader:
    """Reads one client's frames. What it keeps meanwhile is less than ``limit``, the size of a message, and one chunk."""

    __slots__ = ("_buffer", "_decoder", "_limit", "_message")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        # What has come of a message that comes in pieces, and what looks at its text before it is complete.
        self._message: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> Iterator[Event]:
        """What is complete with these bytes, in order. Raises Violation, after which there is nothing to be read."""
        buffer = self._buffer
        buffer += data
        while (head := self._head(buffer)) is not None:
            start, size = head
            if len(buffer) < start + size:
                return
            first, payload = buffer[0], _unmasked(buffer[start - 4 : start], bytes(buffer[start : start + size]))
            del buffer[: start + size]
            event = self._control(first & 15, payload) if first & 8 else self._data(first & 15, bool(first & 128), payload)
            if event is not None:
                yield event

    def _head(self, buffer: bytearray) -> tuple[int, int] | None:
        """Where the next frame's payload begins and its size, as soon as that is known and all is well so far."""
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode, size, start = first & 15, second & 127, 2
        if first & 0x70 or not second & 0x80:  # an extension that nobody has agreed to; not masked (5.1)
            raise Violation(PROTOCOL_ERROR)
        if opcode & 8:
            if opcode > PONG or size > 125 or not first & 128:
                raise Violation(PROTOCOL_ERROR)
        elif opcode > BINARY or (opcode == CONTINUATION) == (self._message is None):
            raise Violation(PROTOCOL_ERROR)
        if size > 125:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
            if size < (126 if start == 4 else 65536) or size >= 2**63:  # "the minimal number of bytes MUST be used" (5.2)
                raise Violation(PROTOCOL_ERROR)
        if not opcode & 8 and len(self._message or b"") + size > self._limit:
            raise Violation(TOO_BIG)
        return start + 4, size

    def _data(self, opcode: int, final: bool, payload: bytes) -> Event | None:
        if self._message is None:
            if final:
                return _text(payload) if opcode == TEXT else payload
            self._message = bytearray()
            self._decoder = _utf8() if opcode == TEXT else None
        self._message += payload
        try:
            if self._decoder is not None:
                self._decoder.decode(payload, final)
        except UnicodeDecodeError:
            raise Violation(NOT_TEXT) from None
        if not final:
            return None
        message, decoder = bytes(self._message), self._decoder
        self._message = self._decoder = None
        return message if decoder is None else message.decode()

    def _control(self, opcode: int, payload: bytes) -> Event:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong()
        if not payload:
            return Close(None)
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not (code in _SAYABLE or 3000 <= code < 5000):
            raise Violation(PROTOCOL_ERROR)
        _text(payload[2:])
        return Close(code)


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation(NOT_TEXT) from None


def _unmasked(mask: bytearray, payload: bytes) -> bytes:
    """The payload as it was before its client masked it (5.3); as one large number, which is faster than byte by byte."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def head(opcode: int, size: int) -> bytes:
    """The head of an unfragmented, unmasked frame (5.2)."""
    if size < 126:
        return struct.pack("!BB", 0x80 | opcode, size)
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size)
    return struct.pack("!BBQ", 0x80 | opcode, 127, size)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """A close frame; without a code where the client has given none."""
    data = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return head(CLOSE, len(data)) + data
