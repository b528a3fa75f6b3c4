"""The WebSocket handshake (RFC 6455 4.2): which requests are one, and the answer's proof that it was understood."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping

from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codes import ErrorCode

VERSION = "13"
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def asks(headers: Mapping[str, str]) -> bool:
    """Whether a request with these headers (by lower-case name) asks for a WebSocket at all."""
    return headers.get("upgrade", "").lower() == "websocket"


def check(method: str, version: str, headers: Mapping[str, str]) -> None:
    """Raise Refused unless this is a handshake. Extensions are offers: whatever they are, none is taken up."""
    if method != "GET" or version != "HTTP/1.1":
        raise Refused(ErrorCode.MALFORMED, "A WebSocket is asked for with GET, in HTTP/1.1.")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        # What comes behind it are frames: whoever saw a body there would not see the same (request smuggling).
        raise Refused(ErrorCode.MALFORMED, "A WebSocket is asked for without a body.")
    if "upgrade" not in (option.strip().lower() for option in headers.get("connection", "").split(",")):
        raise Refused(ErrorCode.MALFORMED, "The header Connection must name Upgrade; does a proxy leave it out?")
    if headers.get("sec-websocket-version") != VERSION:
        raise Refused(ErrorCode.UPGRADE_REQUIRED, f"The version of a WebSocket is {VERSION}.")
    try:
        whole = len(base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)) == 16
    except (binascii.Error, ValueError):
        whole = False
    if not whole:
        raise Refused(ErrorCode.MALFORMED, "Sec-WebSocket-Key must be 16 bytes in base64.")


def select(headers: Mapping[str, str], known: Collection[str]) -> str:
    """The first of the subprotocols on offer that is known. Raises Refused."""
    offered = (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))
    found = next((name for name in offered if name in known), None)
    if found is None:
        raise Refused(ErrorCode.UNSUPPORTED_PROTOCOL, f"Offer one of these subprotocols: {', '.join(known)}")
    return found


def answer(key: str, subprotocol: str | None) -> bytes:
    """The response after which the connection is a WebSocket."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()).decode()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    )
    chosen = () if subprotocol is None else (f"Sec-WebSocket-Protocol: {subprotocol}",)
    return "".join(f"{line}\r\n" for line in (*lines, *chosen, "")).encode()
