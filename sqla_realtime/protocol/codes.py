"""The constants of the wire: the subprotocol, close codes in two classes, error codes. PROTOCOL.md explains each.

``python -m sqla_realtime.protocol.codes`` prints the JavaScript twin, ``client/codes.js``.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

SUBPROTOCOL = "sqla-realtime.v1"


class Closing(IntEnum):
    """Why the server closed, in any dialect."""

    @property
    def reason(self) -> str:
        """The name as close frames and bye messages spell it."""
        return self.name.lower().replace("_", "-")


class CloseCode(Closing):
    """Why the server closed. 44xx: do not come back. 45xx: come back and resume."""

    BAD_MESSAGES = 4400
    RESTARTING = 4500
    TOKEN_EXPIRED = 4501
    SLOW_CONSUMER = 4502
    HELLO_TIMEOUT = 4503
    TOO_MANY_CONNECTIONS = 4504
    TOO_MANY_FROM_ADDRESS = 4505
    TOO_FAST = 4506


class StandardCode(Closing):
    """What RFC 6455 has a code for."""

    PING_TIMED_OUT = 1000


class ErrorCode(StrEnum):
    """What an error message is about."""

    MALFORMED = "malformed"
    UNKNOWN_MESSAGE = "unknown-message"
    INVALID_FIELD = "invalid-field"
    HELLO_REQUIRED = "hello-required"
    HELLO_TWICE = "hello-twice"
    BAD_TOKEN = "bad-token"  # noqa: S105 - the name of an error, no token
    TOKEN_EXPIRED = "token-expired"  # noqa: S105
    NEEDS_AUTH = "needs-auth"
    FORBIDDEN = "forbidden"
    TOO_MANY_SUBSCRIPTIONS = "too-many-subscriptions"
    TOO_FAST = "too-fast"
    NO_PRESENCE = "no-presence"
    CHANNEL_FULL = "channel-full"
    NOT_ATTENDING = "not-attending"
    NOT_A_MEMBER = "not-a-member"
    UNKNOWN_EVENT = "unknown-event"
    INVALID_EVENT = "invalid-event"
    EVENT_TOO_LARGE = "event-too-large"
    PRESENCE_FAILED = "presence-failed"
    SNAPSHOT_TOO_LARGE = "snapshot-too-large"
    SNAPSHOT_FAILED = "snapshot-failed"
    INVALIDATED = "invalidated"
    BEHIND = "behind"
    ORIGIN_REFUSED = "origin-refused"
    HOST_REFUSED = "host-refused"
    UNSUPPORTED_PROTOCOL = "unsupported-protocol"
    UPGRADE_REQUIRED = "upgrade-required"
    TOO_LARGE = "too-large"
    TOO_MANY_MESSAGES = "too-many-messages"
    TOO_MANY_HEADERS = "too-many-headers"
    UNKNOWN_CONNECTION = "unknown-connection"
    TOO_BUSY = "too-busy"


# Closes of RFC 6455 section 7.4.1 that repeat themselves however often a client comes back.
FINAL_STANDARD = (1002, 1003, 1007, 1008, 1009, 1010)


def javascript() -> str:
    """The module that the JavaScript client imports these constants from."""
    final = "|".join(map(str, FINAL_STANDARD))
    return (
        "// Generated from protocol/codes.py; do not edit.\n"
        f'export const SUBPROTOCOL = "{SUBPROTOCOL}"\n'
        "/** Whether a close code means: do not come back. @param {unknown} code */\n"
        f"export const isFinal = code => /^(44..|{final})$/.test(String(code))\n"
    )


if __name__ == "__main__":
    print(javascript(), end="")
