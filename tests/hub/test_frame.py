"""A frame: bytes like any other, that know what they say."""

from __future__ import annotations

from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.messages import Missed
from tests.hub.fakes import at


def test_it_is_its_bytes() -> None:
    frame = Frame(b"abc", Missed(at(1), ()))
    assert (frame, frame.commit.position, frame.framed) == (b"abc", at(1), None)
