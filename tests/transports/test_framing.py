"""Frames without a socket: what RFC 6455 allows comes out whole however it is cut, anything else has its exact code."""

from __future__ import annotations

import os
import struct

import pytest

from sqla_realtime.transports.framing import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Close,
    Event,
    Ping,
    Pong,
    Reader,
    Violation,
    close_frame,
    head,
)

LIMIT = 1000


def frame(opcode: int, data: bytes = b"", *, final: bool = True, mask: bytes = b"\0\0\0\0") -> bytes:
    """A client's frame; it is the server's own head with the two bits that differ, and a mask."""
    first, *rest = head(opcode, len(data))
    rest[0] |= 0x80
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    return bytes([first if final else first & 0x7F, *rest]) + mask + masked


def read(data: bytes, chunk: int | None = None) -> tuple[list[Event], int | None]:
    """What comes out, and the code of the violation if there is one."""
    reader = Reader(LIMIT)
    events: list[Event] = []
    size = chunk or len(data) or 1
    try:
        for start in range(0, len(data), size):
            events.extend(reader.feed(data[start : start + size]))
    except Violation as violation:
        return events, violation.code
    return events, None


WELL: dict[str, tuple[bytes, list[Event]]] = {
    "text": (frame(TEXT, "Grüße".encode(), mask=b"\x01\x80\xff\x10"), ["Grüße"]),
    "empty text": (frame(TEXT), [""]),
    "binary": (frame(BINARY, b"\xff\x00", mask=b"abcd"), [b"\xff\x00"]),
    "125, 126 and 127 bytes": (b"".join(frame(TEXT, b"x" * size, mask=b"mask") for size in (125, 126, 127)),
                               ["x" * 125, "x" * 126, "x" * 127]),
    "the limit": (frame(TEXT, b"x" * LIMIT), ["x" * LIMIT]),
    "in pieces": (frame(TEXT, b"a", final=False) + frame(0, final=False) + frame(0, b"b", final=False) + frame(0), ["ab"]),
    "a character in pieces": (frame(TEXT, b"\xe2\x82", final=False) + frame(0, b"\xac"), ["\u20ac"]),
    "binary in pieces": (frame(BINARY, b"\xe2", final=False) + frame(0, b"\xff"), [b"\xe2\xff"]),
    "two messages in pieces": ((frame(TEXT, b"a", final=False) + frame(0, b"b")) * 2, ["ab", "ab"]),
    "a ping between": (frame(TEXT, b"a", final=False) + frame(PING, b"?") + frame(0, b"b"), [Ping(b"?"), "ab"]),
    "pongs": (frame(PONG) + frame(PONG, b"x" * 125), [Pong(), Pong()]),
    "a long ping": (frame(PING, b"x" * 125, mask=b"1234"), [Ping(b"x" * 125)]),
    "a close": (frame(CLOSE), [Close(None)]),
    "the end of Unicode": (frame(TEXT, b"\xf4\x8f\xbf\xbf"), ["\U0010ffff"]),
    **{f"close {code}": (frame(CLOSE, struct.pack("!H", code) + b"why \xc3\xa9"), [Close(code)])
       for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)},
}  # fmt: skip

ILL: dict[str, tuple[bytes, int]] = {
    "unmasked text": (b"\x81\x02{}", 1002),
    "unmasked and empty": (b"\x81\x00", 1002),
    "unmasked ping": (b"\x89\x00", 1002),
    "unmasked close": (b"\x88\x02\x03\xe8", 1002),
    **{f"reserved bits {bits:#x}": (bytes([0x81 | bits, 0x80]), 1002) for bits in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70)},
    "a ping with a reserved bit": (b"\xc9\x80\0\0\0\0", 1002),
    **{f"opcode {opcode}": (bytes([0x80 | opcode, 0x80]), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping in pieces": (b"\x09\x80", 1002),
    "a pong in pieces": (b"\x0a\x80", 1002),
    "a close in pieces": (b"\x08\x80", 1002),
    "a ping of 126 bytes": (b"\x89\xfe", 1002),
    "a pong of 65536 bytes": (b"\x8a\xff", 1002),
    "a close of 126 bytes": (b"\x88\xfe", 1002),
    "nothing to continue": (frame(CONTINUATION, b"x"), 1002),
    "nothing to continue, and more to come": (frame(CONTINUATION, b"x", final=False), 1002),
    "nothing left to continue": (frame(TEXT, b"a", final=False) + frame(0, b"b") + frame(0, b"c"), 1002),
    "text in a message": (frame(TEXT, b"a", final=False) + frame(TEXT, b"b"), 1002),
    "binary in a message": (frame(BINARY, b"a", final=False) + frame(BINARY, b"b", final=False), 1002),
    "a short size in two bytes": (b"\x81\xfe\x00\x7d", 1002),
    "a short size in eight bytes": (b"\x81\xff" + (65535).to_bytes(8, "big"), 1002),
    "a size with the highest bit": (b"\x81\xff" + (2**63).to_bytes(8, "big"), 1002),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{f"close {code}": (frame(CLOSE, struct.pack("!H", code)), 1002)
       for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65535)},
    "a bad code with a bad reason": (frame(CLOSE, b"\x00\x00\xff"), 1002),
    "a reason that is no text": (frame(CLOSE, b"\x03\xe8\xc3\x28"), 1007),
    "half a character as a reason": (frame(CLOSE, b"\x03\xe8\xe2\x82"), 1007),
    **{f"no text: {data.hex()}": (frame(TEXT, data), 1007) for data in (
        b"\xc3\x28", b"\xff", b"\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"ok\xfe")},
    "no text in the first piece": (frame(TEXT, b"\xff", final=False), 1007),
    "no text in a later piece": (frame(TEXT, b"a", final=False) + frame(0, b"b\xc3", final=False) + frame(0, b"\x28"), 1007),
    "half a character at the end": (frame(TEXT, b"\xe2", final=False) + frame(0, b"\x82"), 1007),
    "one byte too many": (frame(TEXT, b"x" * (LIMIT + 1)), 1009),
    "too much, announced": (b"\x82\xff" + (2**63 - 1).to_bytes(8, "big"), 1009),
    "too much in pieces": (frame(TEXT, b"x" * 600, final=False) + frame(0, b"x" * 401, final=False), 1009),
}  # fmt: skip


@pytest.mark.parametrize("chunk", [None, 1, 2, 3, 7])
def test_what_is_allowed_comes_out_whole(chunk: int | None) -> None:
    for name, (data, events) in WELL.items():
        assert (name, *read(data, chunk)) == (name, events, None)
    everything = [data for name, (data, _) in WELL.items() if "close" not in name]
    assert read(b"".join(everything), chunk)[0] == [event for name in WELL if "close" not in name for event in WELL[name][1]]


@pytest.mark.parametrize("chunk", [None, 1, 2, 3, 7])
def test_each_violation_has_its_code(chunk: int | None) -> None:
    for name, (data, code) in ILL.items():
        events, found = read(frame(TEXT, b"before") + data, chunk)
        assert (name, events[0], found) == (name, "before", code)


def test_a_violation_is_known_from_its_first_bytes() -> None:
    """Nobody has to send what has been announced."""
    for name, (data, code) in ILL.items():
        if len(data) < 6 or "announced" in name:
            assert read(data)[1] == code, name
    for data in (b"\xc1\xff", b"\x01\x00", b"\x89\xfe"):
        assert read(data)[1] == 1002


def test_half_a_frame_is_waited_for() -> None:
    whole = frame(TEXT, os.urandom(8).hex().encode() * 10, mask=os.urandom(4))
    for size in range(len(whole)):
        assert read(whole[:size]) == ([], None)


def test_what_is_kept_is_bounded() -> None:
    """Pieces without content, of which there may be any number, leave nothing; a message that is out is not kept either."""
    reader = Reader(LIMIT)
    list(reader.feed(frame(TEXT, b"x", final=False) + frame(0, final=False) * 10_000))
    assert reader._message == b"x"
    assert list(reader.feed(frame(0, b"y"))) == ["xy"]
    assert (reader._message, reader._decoder, reader._buffer) == (None, None, b"")
    for _ in range(100):
        list(reader.feed(frame(TEXT, b"x" * LIMIT)))
    assert reader._buffer.__sizeof__() < 200


def test_frames_of_the_server() -> None:
    assert head(TEXT, 125) == b"\x81\x7d"
    assert head(TEXT, 126) == b"\x81\x7e\x00\x7e"
    assert head(TEXT, 65535) == b"\x81\x7e\xff\xff"
    assert head(BINARY, 65536) == b"\x82\x7f" + (65536).to_bytes(8, "big")
    assert close_frame(None) == b"\x88\x00"
    assert close_frame(4400, "bad-messages") == b"\x88\x0e\x11\x30bad-messages"
