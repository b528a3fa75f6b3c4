"""What a client of Pusher's protocol 7 may say, and how it is read: an event, with its data as an object or as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import ClientMessage, Foreign, Ping

# What an event's data may be, in bytes, and its name, in characters.
MAX_DATA = 10 * 1024
MAX_EVENT = 200
_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Join(Foreign):
    """The client joins one channel, with what its application has signed, if it has."""

    channel: str
    auth: str = ""
    data: str | None = None

    def __repr__(self) -> str:
        return "Join()"  # a signature must not get into a log


@dataclass(frozen=True, slots=True)
class Part(Foreign):
    """The client leaves one channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class SignIn(Foreign):
    """The client says who it is, with what its application has signed."""

    auth: str
    data: str

    def __repr__(self) -> str:
        return "SignIn()"


@dataclass(frozen=True, slots=True)
class Say(Foreign):
    """The client says something to the others in a channel; ``data`` is text."""

    channel: str
    name: str
    data: str


@dataclass(frozen=True, slots=True)
class Alive(Foreign):
    """The answer to a ping."""


def read(text: str) -> ClientMessage:
    """The message that a client sent. Raises BadMessage."""
    fields = _object(text)
    name = fields.get("event")
    if not isinstance(name, str):
        _refuse("event must be text")
    if name.startswith("client-"):
        return _said(fields, name)
    parse = _PARSERS.get(name)
    if parse is None:
        raise BadMessage(ErrorCode.UNKNOWN_MESSAGE, "this event is not one that a client may send")
    data = fields.get("data")
    data = _object(data) if isinstance(data, str) and data else data
    return parse(data if isinstance(data, dict) else {})


def texts(body: str) -> list[str]:
    """The messages that a client has sent in one body, not read yet. Raises BadMessage."""
    items = _parsed(body)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        _refuse("the body is not a JSON array of texts")
    return items


def compact(value: Any) -> str:
    """JSON without spaces, and in ASCII, since strings in Python may have in them what UTF-8 has not."""
    return _compact(value)


def _refuse(reason: str) -> NoReturn:
    raise BadMessage(ErrorCode.INVALID_FIELD, reason)


def _parsed(text: str) -> object:
    try:
        found: object = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadMessage(ErrorCode.MALFORMED, "the message is not JSON") from None
    return found


def _object(text: str) -> dict[str, Any]:
    found = _parsed(text)
    if not isinstance(found, dict):
        raise BadMessage(ErrorCode.MALFORMED, "the message is not a JSON object")
    return found


def _text(fields: dict[str, Any], name: str, most: int, default: str | None = None) -> str:
    text = fields.get(name, default)
    if not isinstance(text, str) or len(text) > most:
        _refuse(f"{name} must be text of at most {most} characters")
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which could not be sent to anybody
        _refuse(f"{name} must be text in Unicode")
    return text


def _said(fields: dict[str, Any], name: str) -> Say:
    data = fields.get("data")
    try:
        data = data if isinstance(data, str) else compact(data)
    except (ValueError, RecursionError):  # 1e999 is JSON, and infinite here
        _refuse("data must be a JSON value that can be told")
    fields = {**fields, "event": name, "data": data}
    _text(fields, "data", MAX_DATA)
    return Say(_text(fields, "channel", MAX_EVENT), _text(fields, "event", MAX_EVENT), data)


def _join(data: dict[str, Any]) -> Join:
    given = None if data.get("channel_data") is None else _text(data, "channel_data", MAX_DATA)
    auth = "" if data.get("auth") is None else _text(data, "auth", MAX_EVENT)
    return Join(_text(data, "channel", MAX_EVENT), auth, given)


_PARSERS: dict[str, Callable[[dict[str, Any]], ClientMessage]] = {
    "pusher:ping": lambda data: Ping(),
    "pusher:pong": lambda data: Alive(),
    "pusher:subscribe": _join,
    "pusher:unsubscribe": lambda data: Part(_text(data, "channel", MAX_EVENT)),
    "pusher:signin": lambda data: SignIn(_text(data, "auth", MAX_EVENT), _text(data, "user_data", MAX_DATA)),
}
