"""One commit's bytes, made once and shared by every connection that is sent them."""

from __future__ import annotations

from sqla_realtime.protocol.messages import Missed


class Frame(bytes):
    """Spelled bytes that know what they say, so that a reader who lags behind can be sent several as one.

    ``framed`` is the transport's: the same bytes as they stand on its wire, once it has made them.
    """

    commit: Missed
    framed: bytes | None

    def __new__(cls, data: bytes, commit: Missed) -> Frame:
        frame = super().__new__(cls, data)
        frame.commit = commit
        frame.framed = None
        return frame
