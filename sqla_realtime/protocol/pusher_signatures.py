"""Pusher's signatures, HMAC-SHA256 with an application's secret: of admissions, of users, and of requests to the HTTP API."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

# How far the clock of whoever signs a request may be from ours, in seconds.
SKEW = 600


def sign(secret: str, text: str | bytes) -> str:
    """The signature of a text."""
    return hmac.new(secret.encode(), text.encode() if isinstance(text, str) else text, hashlib.sha256).hexdigest()


def holds(secret: str, text: str, signature: str) -> bool:
    """Whether this is the signature of that text."""
    return hmac.compare_digest(sign(secret, text).encode(), signature.encode())


def admission(socket: str, channel: str, data: str | None) -> str:
    """What is signed to let a connection into a channel."""
    return f"{socket}:{channel}" if data is None else f"{socket}:{channel}:{data}"


def user(socket: str, data: str) -> str:
    """What is signed to say whose a connection is."""
    return f"{socket}::user::{data}"


def vouched(key: str, secret: str, text: str, auth: str) -> bool:
    """Whether ``auth`` is an application's key with its signature of a text."""
    given, colon, signature = auth.partition(":")
    return bool(colon) and hmac.compare_digest(given.encode(), key.encode()) and holds(secret, text, signature)


def request_text(method: str, path: str, query: Iterable[tuple[str, str]]) -> str:
    """What is signed of a request: its parameters by name, as they are before they are spelled as a URL."""
    pairs = sorted((name.lower(), value) for name, value in query if name != "auth_signature")
    return f"{method}\n{path}\n{'&'.join(f'{name}={value}' for name, value in pairs)}"


def refusal(key: str, secret: str, text: str, query: Mapping[str, str], *, body: bytes, now: float) -> str | None:
    """Why a request, of which ``text`` is signed, is not one of the application's; None where it is. The clock is looked at
    only where the signature holds, so nobody else is told about it."""
    if not hmac.compare_digest(query.get("auth_key", "").encode(), key.encode()):
        return "auth_key is not this application's."
    if query.get("auth_version") != "1.0" or not holds(secret, text, query.get("auth_signature", "")):
        return "auth_signature does not hold."
    stated = query.get("body_md5", "")
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if (body or stated) and not hmac.compare_digest(stated.encode(), digest.encode()):
        return "body_md5 is not the body's."
    moment = query.get("auth_timestamp", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 16) or abs(now - int(moment)) > SKEW:
        return f"auth_timestamp is more than {SKEW} s from this server's clock."
    return None
