"""Random WebSocket frames, well and ill, with what a server must say to each: a model of RFC 6455 that reads nothing."""

from __future__ import annotations

import json
import random
import struct
from dataclasses import dataclass, field

from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT

VALID_CLOSES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
INVALID_CLOSES = (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
ILL_TEXT = (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82 ", b"\xc0\x80")


@dataclass(slots=True)
class Model:
    """One connection's worth of frames. ``pongs`` is what must come back in between, ``code`` what it must end with,
    None where the client has closed without one; ``over`` says that there must be an end."""

    random: random.Random
    limit: int
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None
    over: bool = False
    _open: int = 0
    _size: int = 0

    def frame(self) -> bytes:
        """The next frame."""
        choice = self.random.random()
        if choice < 0.1:
            return self._ill()
        if choice < 0.12:
            return self._close()
        if choice < 0.3:
            data = self.random.randbytes(self.random.choice((0, 1, 4, 124, 125)))
            if self.random.random() < 0.5:
                self.pongs.append(data)
                return self._spell(PING, data)
            return self._spell(PONG, data)
        return self._data()

    def end(self) -> bytes:
        """A close that ends it, if nothing has."""
        self._over(1000)
        return self._spell(CLOSE, b"\x03\xe8bye")

    def _over(self, code: int | None) -> None:
        self.code, self.over = code, True

    def _data(self) -> bytes:
        opcode = 0 if self._open else self.random.choice((TEXT, BINARY))
        kind, final = self._open or opcode, self.random.random() < 0.6
        size = self.random.choice((0, 1, 5, 125, 126, 127, 300, self.limit, self.limit + 1))
        data = self.random.randbytes(size) if kind == BINARY else _text(self.random, size)
        if self._size + size > self.limit:
            self._over(1009)
        elif kind == TEXT and self.random.random() < 0.05:
            data = (data + self.random.choice(ILL_TEXT))[-max(size, 4) :]
            self._over(1009 if self._size + len(data) > self.limit else 1007)
        self._open, self._size = (0, 0) if final else (kind, self._size + size)
        return self._spell(opcode, data, final=final)

    def _close(self) -> bytes:
        code = self.random.choice((None, *VALID_CLOSES))
        self._over(code)
        return self._spell(CLOSE, b"" if code is None else struct.pack("!H", code) + _text(self.random, 20))

    def _ill(self) -> bytes:
        pick = self.random.choice
        self._over(1002)
        expected = 0 if self._open else pick((TEXT, BINARY))
        match self.random.randrange(9):
            case 0:
                return self._spell(pick((expected, PING, PONG, CLOSE)), b"xy", masked=False)
            case 1:
                return self._spell(pick((expected, PING)), b"", bits=self.random.randrange(1, 8) << 4)
            case 2:
                return self._spell(pick((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), b"x")
            case 3:
                return self._spell(pick((PING, PONG, CLOSE)), b"", final=False)
            case 4:
                return self._spell(pick((PING, PONG, CLOSE)), self.random.randbytes(pick((126, 127, 300))))
            case 5:
                return self._spell(pick((TEXT, BINARY)) if self._open else 0, b"x", final=pick((True, False)))
            case 6:
                return self._spell(CLOSE, pick([b"\x03", *(struct.pack("!H", code) for code in INVALID_CLOSES)]))
            case 7:
                self._over(1007)
                return self._spell(CLOSE, b"\x03\xe8" + pick(ILL_TEXT))
            case _:
                return self._spell(expected, b"short", length=pick((126, 127)))

    def _spell(
        self, opcode: int, data: bytes, *, final: bool = True, masked: bool = True, bits: int = 0, length: int = 0
    ) -> bytes:
        return spell(self.random, (0x80 if final else 0) | bits | opcode, data, masked=masked, length=length)


def spell(chance: random.Random, first: int, data: bytes, *, masked: bool = True, length: int = 0) -> bytes:
    """A frame with this first byte; ``length`` is a form of its size that is not the shortest."""
    size, bit = len(data), 0x80 if masked else 0
    form = length or (size if size < 126 else 126 if size < 65536 else 127)
    head = bytes([first, bit | form]) + (size.to_bytes(2 if form == 126 else 8, "big") if form > 125 else b"")
    if not masked:
        return head + data
    mask = chance.randbytes(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


def _text(chance: random.Random, size: int) -> bytes:
    """Text of so many bytes."""
    data = "".join(chance.choice(('"', "{", "a", "\0", "\xe9", "\u20ac", "\U0001f600")) for _ in range(size)).encode()
    return data[:size].decode("utf-8", "ignore").encode().ljust(size)


MESSAGES = [
    {"type": "hello", "token": "x.y.z"}, {"type": "hello", "connection": "c-0123456789_abc-XYZ"}, {"type": "ping"},
    {"type": "ping", "position": "k3f9.17"}, {"type": "subscribe", "id": 7, "channels": ["projects/1/pages", "vault/1"]},
    {"type": "subscribe", "id": 8, "channels": ["projects/2/pages"], "after": "k3f9.17"},
    {"type": "unsubscribe", "id": 9, "channels": ["projects/1/pages"]}, {"type": "renew", "id": 10, "token": "x.y.z"},
]  # fmt: skip


def mutant(chance: random.Random) -> bytes:
    """A message of the protocol with a few bytes changed, lost, doubled or put in."""
    data = bytearray(json.dumps(chance.choice(MESSAGES)).encode())
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                del data[place : place + chance.randrange(1, 8)]
            case 2:
                data[place:place] = data[place : place + chance.randrange(1, 20)]
            case 3:
                data[place:place] = chance.choice(
                    (b"\\ud800", b"1e999", b"NaN", b"[" * 60, b"\\u0000", b"\xe2\x82\xac", b"9" * 30)
                )
            case _:
                data[place] ^= 1 << chance.randrange(8)
        if not data:
            break
    return bytes(data)
