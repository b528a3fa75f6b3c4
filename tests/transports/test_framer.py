"""Framing: the same bytes for all who are sent the same."""

from __future__ import annotations

from sqla_realtime.commit import Position
from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.messages import Missed
from sqla_realtime.transports.framer import Framer

MISSED = Missed(Position("e", 1), ())


def test_a_commit_is_framed_once() -> None:
    frame, framer = Frame(b"x" * 200, MISSED), Framer()
    first = framer.framed(frame)
    assert first == b"\x81\x7e\x00\xc8" + b"x" * 200
    assert framer.framed(frame) is first


def test_several_are_joined_once_for_all_who_are_sent_the_same() -> None:
    one, other, framer = Frame(b"1", MISSED), Frame(b"2", MISSED), Framer()
    first = framer.framed([one, other])
    assert first == b"\x81\x011\x81\x012"
    assert framer.framed([one, other]) is first
    assert framer.framed([other, one]) == b"\x81\x012\x81\x011"
    assert framer.framed([other, b"xy"]) == b"\x81\x012\x81\x02xy"


def test_where_lines_are_messages_each_is_framed_and_an_empty_text_is_none() -> None:
    framer = Framer(lines=True)
    assert framer.framed(b"1\n23") == b"\x81\x011\x81\x0223"
    assert framer.framed(b"") == b""
    assert framer.framed([Frame(b"1\n2", MISSED), b"", b"3"]) == b"\x81\x011\x81\x012\x81\x013"
