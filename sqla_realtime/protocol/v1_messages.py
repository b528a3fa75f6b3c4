"""What clients say in the native dialect: text from anybody, read into messages, or refused with a code and a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from sqla_realtime.commit import MAX_OFFSET, Position
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.gathering import Attend, Depart, Say
from sqla_realtime.protocol.messages import ClientMessage, Command, Hello, Ping, Renew, Subscribe, Unsubscribe

MAX_CHANNELS = 100
MAX_CHANNEL = 255
MAX_TOKEN = 8192
MAX_VIA = 64
MAX_TAG = 64
MAX_NAME = 64
CONNECTION = re.compile("c-[A-Za-z0-9_-]{16,64}")


def decode(text: str) -> ClientMessage:
    """One message. This and all that follow raise BadMessage, and nothing else, for whatever else it may be."""
    return _message(_parsed(text))


def batch(text: str) -> list[ClientMessage]:
    """Messages in a JSON array."""
    return _messages(_parsed(text), "the body")


def command(text: str) -> Command:
    """Messages for a connection's stream."""
    fields = _parsed(text)
    if not isinstance(fields, dict):
        raise BadMessage(ErrorCode.MALFORMED, "the body is not a JSON object")
    connection = _connection(fields)
    if connection is None:
        raise _invalid("connection", "the id of a connection")
    return Command(connection, _messages(fields.get("messages"), "messages"), _text(fields, "via", MAX_VIA))


def subscription(number: int, channels: Sequence[str], after: str | None) -> Subscribe:
    """A subscribe that was spelled as a URL."""
    return Subscribe(number, _channels({"channels": list(channels)}), after)


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)


def _parsed(text: str) -> object:
    try:
        # NaN and the infinities are not JSON (RFC 8259 section 6). RecursionError: nested too deeply.
        found: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadMessage(ErrorCode.MALFORMED, "the message is not JSON") from None
    return found


def _message(fields: object) -> ClientMessage:
    if not isinstance(fields, dict):
        raise BadMessage(ErrorCode.MALFORMED, "the message is not a JSON object")
    kind = fields.get("type")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        raise BadMessage(ErrorCode.UNKNOWN_MESSAGE, "type is none of: " + ", ".join(_PARSERS))
    return parse(fields)


def _messages(items: object, name: str) -> list[ClientMessage]:
    if not isinstance(items, list):
        raise BadMessage(ErrorCode.MALFORMED, f"{name} must be a JSON array of messages")
    return [_message(item) for item in items]


def _invalid(name: str, rule: str) -> BadMessage:
    return BadMessage(ErrorCode.INVALID_FIELD, f"{name} must be {rule}")


def _id(fields: dict[str, Any]) -> int:
    number = fields.get("id")
    if type(number) is not int or not 0 <= number <= MAX_OFFSET:
        raise _invalid("id", f"an integer from 0 to {MAX_OFFSET}")
    return number


def _text(fields: dict[str, Any], name: str, most: int) -> str | None:
    text = fields.get(name)
    if text is not None and not (isinstance(text, str) and len(text) <= most and text.isascii()):
        raise _invalid(name, f"ASCII text of at most {most} characters")
    return text


def _token(fields: dict[str, Any]) -> str:
    token = _text(fields, "token", MAX_TOKEN)
    if token is None:
        raise _invalid("token", f"ASCII text of at most {MAX_TOKEN} characters")
    return token


def _position(fields: dict[str, Any]) -> Position | None:
    """Like ``after``, whatever text it is: what is no position is one that is behind every other."""
    text = fields.get("position")
    if text is not None and not isinstance(text, str):
        raise _invalid("position", "text")
    return None if text is None else Position.parse(text) or Position("", 0)


def _connection(fields: dict[str, Any]) -> str | None:
    connection = fields.get("connection")
    if connection is not None and not (isinstance(connection, str) and CONNECTION.fullmatch(connection)):
        raise _invalid("connection", "c- and 16 to 64 of A-Z a-z 0-9 _ -")
    return connection


def _after(fields: dict[str, Any]) -> str | None:
    """Whatever text it is: what is no position is one that can't be resumed from, and answered with rows."""
    after = fields.get("after")
    if after is not None and not isinstance(after, str):
        raise _invalid("after", "text")
    return after


def _channels(fields: dict[str, Any]) -> tuple[str, ...]:
    names = fields.get("channels")
    if (
        not isinstance(names, list)
        or not 1 <= len(names) <= MAX_CHANNELS
        or not all(isinstance(name, str) and 1 <= len(name) <= MAX_CHANNEL and name.isascii() for name in names)
        or len(set(names)) != len(names)
    ):
        raise _invalid("channels", f"1 to {MAX_CHANNELS} different channel names")
    return tuple(names)


def _channel(fields: dict[str, Any]) -> str:
    name = fields.get("channel")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_CHANNEL or not name.isascii():
        raise _invalid("channel", "a channel's name")
    return name


def _name(fields: dict[str, Any]) -> str:
    name = _text(fields, "name", MAX_NAME)
    if not name:
        raise _invalid("name", f"ASCII text of 1 to {MAX_NAME} characters")
    return name


def _data(fields: dict[str, Any]) -> str:
    """The text of whatever value it is."""
    try:
        text = json.dumps(fields.get("data"), ensure_ascii=False, separators=(",", ":"))
        text.encode()
    except (UnicodeEncodeError, RecursionError):  # of half a surrogate pair, which JSON can escape; and nested too deeply
        raise _invalid("data", "a JSON value that can be told") from None
    return text


_PARSERS: dict[str, Callable[[dict[str, Any]], ClientMessage]] = {
    "hello": lambda fields: Hello(_text(fields, "token", MAX_TOKEN), _connection(fields)),
    "subscribe": lambda fields: Subscribe(_id(fields), _channels(fields), _after(fields)),
    "unsubscribe": lambda fields: Unsubscribe(_id(fields), _channels(fields)),
    "renew": lambda fields: Renew(_id(fields), _token(fields)),
    "ping": lambda fields: Ping(_position(fields)),
    "attend": lambda fields: Attend(_id(fields), _channel(fields), _text(fields, "tag", MAX_TAG)),
    "depart": lambda fields: Depart(_id(fields), _channel(fields)),
    "say": lambda fields: Say(_id(fields), _channel(fields), _name(fields), _data(fields)),
}
