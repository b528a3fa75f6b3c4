"""The close codes of Pusher's protocol, what its clients make of them, and which of ours is which of these."""

from __future__ import annotations

from sqla_realtime.protocol.codes import CloseCode, Closing, StandardCode


class PusherCode(Closing):
    """40xx and from 43xx on: do not come back. 41xx: come back in a second. 42xx: come back at once.

    Whoever comes back too early, to a port that is nobody's yet, is kept waiting by its library for fifteen.
    """

    UNKNOWN_APP = 4001
    BAD_VERSION = 4006
    UNSUPPORTED_PROTOCOL = 4007
    NO_PROTOCOL = 4008
    UNAUTHORIZED = 4009
    OVER_CAPACITY = 4100
    RESTARTING = 4101
    RECONNECT = 4200
    PONG_MISSING = 4201
    REFUSED = 4300
    EVENT_REFUSED = 4301
    TOO_MANY_WATCHED = 4302


_OURS: dict[Closing, PusherCode] = {
    CloseCode.BAD_MESSAGES: PusherCode.REFUSED,
    CloseCode.RESTARTING: PusherCode.RESTARTING,
    CloseCode.SLOW_CONSUMER: PusherCode.RECONNECT,
    CloseCode.TOO_MANY_CONNECTIONS: PusherCode.OVER_CAPACITY,
    CloseCode.TOO_MANY_FROM_ADDRESS: PusherCode.OVER_CAPACITY,
    CloseCode.TOO_FAST: PusherCode.OVER_CAPACITY,
    StandardCode.PING_TIMED_OUT: PusherCode.PONG_MISSING,
}


def closes(code: Closing) -> Closing:
    """What a client of Pusher's is told instead. It must come back for whatever has passed by then."""
    return code if isinstance(code, PusherCode) else _OURS.get(code, PusherCode.RECONNECT)
