"""Juggernaut's dialect: packets of Socket.IO 0.8 ("protocol 1"), one message for each change, made for Spine's handler.

What Spine 1.6 can't bear is never sent: an update of a record that it may not have, a key by another name than ``id``, a
field that is called like one of its methods. docs/juggernaut.md lists the rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqla_realtime.commit import Change, Position
from sqla_realtime.protocol.codec import BadMessage, Spelled
from sqla_realtime.protocol.codes import Closing, ErrorCode
from sqla_realtime.protocol.messages import (
    ClientMessage,
    Command,
    Error,
    Ping,
    Recovered,
    ServerMessage,
    Snapshot,
    Subscribe,
    Unsubscribe,
    Welcome,
)

# Packets of Socket.IO that say all with their type.
DISCONNECT, CONNECT, HEARTBEAT, NOOP = b"0::", b"1::", b"2::", b"8::"
# "client not handshaken", with the advice to reconnect; and "unauthorized".
NO_SESSION, UNAUTHORIZED = b"7:::1+0", b"7:::2"

MAX_CHANNEL = 255
_PACKET = re.compile(r"([0-8]):[0-9]*\+?:[^:]*(?::(.*))?", re.DOTALL)
# What stands before and behind the length of each packet, where several are one body. Lengths are JavaScript's: UTF-16.
_MARK = "\ufffd"
# What a record of Spine with its Ajax and relations does itself: load() calls a field of such a name instead of setting it.
RESERVED = frozenset(
    {
        "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__", "_callbacks",
        "ajax", "attributes", "bind", "changeID", "cid", "clone", "constructor", "create", "destroy", "dup", "eql",
        "exists", "fromForm", "generateURL", "hasOwnProperty", "isNew", "isPrototypeOf", "isValid", "listenTo",
        "listenToOnce", "load", "off", "on", "one", "propertyIsEnumerable", "proxy", "refresh", "reload", "remove",
        "save", "stopListening", "stripCloneAttrs", "toJSON", "toLocaleString", "toString", "trigger", "unbind",
        "update", "updateAttribute", "updateAttributes", "url", "validate", "valueOf",
    }
)  # fmt: skip


class Label(NamedTuple):
    """How changes of one class in one channel are spelled: under which ``channel``, and what becomes of their records.

    ``keyed``: the record's own ``id`` is its key; ``number``: which is a number. ``names`` are fields by other names.
    """

    channel: str
    keyed: bool
    number: bool
    names: Mapping[str, str] = {}


class Juggernaut:
    """The codec. ``label`` says how a channel's changes of a class are spelled, None where nobody may ask for them."""

    name = "juggernaut"
    merges = False
    rows = True
    lines = True

    def __init__(self, label: Callable[[str, str], Label | None]) -> None:
        self._label = label

    def decode(self, text: str) -> ClientMessage:
        found = _PACKET.fullmatch(text)
        if found is None:
            raise BadMessage(ErrorCode.MALFORMED, "this is no packet of Socket.IO")
        kind, data = found.groups()
        # The others are signs of life, or what Juggernaut never says.
        return _message(data or "") if kind in "34" else Ping()

    def batch(self, text: str) -> list[ClientMessage]:
        return [self.decode(packet) for packet in packets(text)]

    def command(self, text: str) -> Command:
        raise BadMessage(ErrorCode.UNKNOWN_MESSAGE, "Juggernaut has no commands")

    def subscription(self, number: int, channels: Sequence[str], after: str | None) -> Subscribe:
        raise BadMessage(ErrorCode.UNKNOWN_MESSAGE, "Juggernaut has no URLs of channels")

    def encode(self, message: ServerMessage) -> bytes:
        match message:
            case Welcome():
                return CONNECT
            case Ping():
                return HEARTBEAT
            case Snapshot():
                channel = message.channel
                rows = (Change(channel, "update", row.cls, row.id, row.record) for row in message.rows)
                return b"\n".join(filter(None, map(self.change, rows)))
            case Recovered():
                return b"\n".join(filter(None, message.commits))
            case Error(channel=str()):
                return UNAUTHORIZED
        return b""

    def closes(self, code: Closing) -> Closing:
        return code

    def change(self, change: Change) -> Spelled:
        label = self._label(change.channel, change.cls)
        # A record with an empty key is one that Spine gives a key of its own.
        if label is None or not change.id:
            return Spelled(b"", side=change.side)
        if change.record is None:
            kinds, record = ["destroy"], _json({"id": _id(label, change.id)})
        else:
            # Whoever knows the record passes over the create, and nobody else ever sees an update of it alone.
            known = change.type == "update" or change.cause is not None
            kinds, record = ["create", "update"] if known else ["create"], _record(label, change.id, change.record)
        head = b'3:::{"channel":%b,"data":{"type":"%%b","class":%b,"id":%b,"record":' % tuple(
            _json(each).replace(b"%", b"%%") for each in (label.channel, change.cls, change.id)
        )
        return Spelled(b"\n".join(head % kind.encode() + record + b"}}" for kind in kinds), side=change.side)

    def commit(self, position: Position, changes: Sequence[bytes], origin: str | None = None) -> bytes:
        """Who made it has shown already what it acted on, and would show a new record twice."""
        mine = origin is not None
        return b"\n".join(each for each in changes if each and not (mine and isinstance(each, Spelled) and not each.side))


def label(channel: str, fields: Iterable[str], *, keyed: bool, number: bool) -> Label:
    """The label of records with these fields. One that is called like a method of Spine's has ``_`` behind its name."""
    names: dict[str, str] = {}
    taken = set(fields)
    for field in sorted(taken & RESERVED):
        name = f"{field}_"
        while name in taken:
            name += "_"
        taken.add(name)
        names[field] = name
    return Label(channel, keyed, number, names)


def packets(text: str) -> list[str]:
    """The packets of one body. Raises BadMessage."""
    if not text.startswith(_MARK):
        return [text]
    units = text.encode("utf-16-le", "surrogatepass")
    found, place, mark = [], 0, _MARK.encode("utf-16-le")
    while place < len(units):
        digits = units.find(mark, place + 2)
        length = units[place + 2 : max(digits, 0)].decode("utf-16-le", "replace")
        if units[place : place + 2] != mark or not (length.isascii() and length.isdigit() and len(length) < 10):
            raise BadMessage(ErrorCode.MALFORMED, "this is no body of Socket.IO")
        place = digits + 2 + 2 * int(length)
        found.append(units[digits + 2 : place].decode("utf-16-le", "replace"))
    return found


def payload(lines: Sequence[bytes]) -> str:
    """Packets as one body."""
    texts = [line.decode() for line in lines]
    if len(texts) == 1:
        return texts[0]
    return "".join(f"{_MARK}{len(text.encode('utf-16-le')) // 2}{_MARK}{text}" for text in texts)


def _message(data: str) -> ClientMessage:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise BadMessage(ErrorCode.MALFORMED, "the message is not JSON") from None
    kind = fields.get("type") if isinstance(fields, dict) else None
    if kind in ("meta", "event"):
        return Ping()
    if kind not in ("subscribe", "unsubscribe"):
        raise BadMessage(ErrorCode.UNKNOWN_MESSAGE, "type is none of: subscribe, unsubscribe, meta, event")
    channel = fields.get("channel")
    if not (isinstance(channel, str) and 1 <= len(channel) <= MAX_CHANNEL and channel.isascii()):
        raise BadMessage(ErrorCode.INVALID_FIELD, "channel must be the name of one")
    return Subscribe(0, (channel,)) if kind == "subscribe" else Unsubscribe(0, (channel,))


def _record(label: Label, key: str, record: bytes) -> bytes:
    """The record with its key as ``id``, of one JSON type always."""
    if label.keyed and not label.names and key != "0":
        return record
    fields: dict[str, Any] = json.loads(record)
    number = fields.pop("id", None) if label.keyed else None
    fields.pop("id", None)
    named = {label.names.get(name, name): value for name, value in fields.items()}
    # Spine takes the number 0 for no key at all.
    return _json({"id": number or key} | named)


def _id(label: Label, key: str) -> int | str:
    return int(key) if label.keyed and label.number and key != "0" else key


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
