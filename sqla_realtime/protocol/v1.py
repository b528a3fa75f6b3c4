"""The native dialect, ``sqla-realtime.v1``: JSON objects as PROTOCOL.md describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqla_realtime.commit import MAX_OFFSET, Change, Position
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import SUBPROTOCOL, Closing, ErrorCode
from sqla_realtime.protocol.messages import (
    Bye,
    ClientMessage,
    Command,
    Error,
    Hello,
    Leave,
    NeedsAuth,
    Ping,
    Pong,
    Recovered,
    Renew,
    Renewed,
    Reset,
    Row,
    ServerMessage,
    Snapshot,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)

MAX_CHANNELS = 100
MAX_CHANNEL = 255
MAX_TOKEN = 8192
MAX_VIA = 64
CONNECTION = re.compile("c-[A-Za-z0-9_-]{16,64}")


class V1:
    """The codec of ``sqla-realtime.v1``."""

    name = SUBPROTOCOL
    merges = True
    rows = True
    lines = False

    def decode(self, text: str) -> ClientMessage:
        return _message(_parsed(text))

    def batch(self, text: str) -> list[ClientMessage]:
        return _messages(_parsed(text), "the body")

    def command(self, text: str) -> Command:
        fields = _parsed(text)
        if not isinstance(fields, dict):
            raise BadMessage(ErrorCode.MALFORMED, "the body is not a JSON object")
        connection = _connection(fields)
        if connection is None:
            raise _invalid("connection", "the id of a connection")
        return Command(connection, _messages(fields.get("messages"), "messages"), _text(fields, "via", MAX_VIA))

    def subscription(self, number: int, channels: Sequence[str], after: str | None) -> Subscribe:
        return Subscribe(number, _channels({"channels": list(channels)}), after)

    def encode(self, message: ServerMessage) -> bytes:
        match message:
            case Snapshot():
                return self._snapshot(message)
            case Recovered():
                return self._recovered(message)
            case _:
                return _json(_plain(message))

    def closes(self, code: Closing) -> Closing:
        return code

    def change(self, change: Change) -> bytes:
        head: dict[str, Any] = {"type": change.type, "class": change.cls, "id": change.id, "channel": change.channel}
        if change.changed:
            head["changed"] = change.changed
        if change.cause is not None:
            head["cause"] = change.cause
        text = _json(head)
        return text if change.record is None else b'%b,"record":%b}' % (text[:-1], change.record)

    def commit(self, position: Position, changes: Sequence[bytes], origin: str | None = None) -> bytes:
        tail = b"" if origin is None else b',"origin":%b' % _json(origin)
        return b'{"commit":"%b","changes":[%b]%b}' % (str(position).encode(), b",".join(changes), tail)

    def _snapshot(self, message: Snapshot) -> bytes:
        item = b'{"channel":%b,"rows":[%b]}' % (_json(message.channel), b",".join(map(_row, message.rows)))
        return _subscribed(message.id, message.position, [item])

    def _recovered(self, message: Recovered) -> bytes:
        items = (_json({"channel": channel, "recovered": True}) for channel in message.channels)
        return _subscribed(message.id, message.position, items, message.commits)


def _subscribed(number: int | None, position: Position, items: Iterable[bytes], commits: Sequence[bytes] = ()) -> bytes:
    tail = b',"commits":[%b]' % b",".join(commits) if commits else b""
    return b'{"type":"subscribed",%b"position":"%b","channels":[%b]%b}' % (
        b"" if number is None else b'"id":%d,' % number,
        str(position).encode(),
        b",".join(items),
        tail,
    )


def _row(row: Row) -> bytes:
    return b'{"class":%b,"id":%b,"record":%b}' % (_json(row.cls), _json(row.id), row.record)


def _plain(message: ServerMessage) -> dict[str, Any]:
    match message:
        case Welcome():
            return {"type": "hello", "connection": message.connection, "ping": message.ping} | _given(via=message.via)
        case Unsubscribed():
            return {"type": "unsubscribed", "id": message.id, "channels": message.channels}
        case Renewed():
            return {"type": "renewed", "id": message.id}
        case NeedsAuth():
            return {"type": "needs_auth", "reason": message.reason}
        case Leave():
            return {"type": "leave", "channels": message.channels, "reason": message.reason}
        case Reset():
            return {"type": "reset", "channels": message.channels, "reason": message.reason}
        case Error():
            return {"type": "error", "code": message.code, "message": message.message} | _given(
                fix=message.fix, channel=message.channel, id=message.id
            )
        case Ping():
            return {"type": "ping"} | _given(position=None if message.position is None else str(message.position))
        case Pong():
            return {"type": "pong"}
        case Bye():
            return {"type": "bye", "code": message.code, "reason": message.reason} | _given(
                retry_after_ms=message.retry_after_ms
            )
    raise TypeError(message)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


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


_PARSERS: dict[str, Callable[[dict[str, Any]], ClientMessage]] = {
    "hello": lambda fields: Hello(_text(fields, "token", MAX_TOKEN), _connection(fields)),
    "subscribe": lambda fields: Subscribe(_id(fields), _channels(fields), _after(fields)),
    "unsubscribe": lambda fields: Unsubscribe(_id(fields), _channels(fields)),
    "renew": lambda fields: Renew(_id(fields), _token(fields)),
    "ping": lambda fields: Ping(_position(fields)),
}
