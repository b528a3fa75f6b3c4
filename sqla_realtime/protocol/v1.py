"""The native dialect, ``sqla-realtime.v1``: JSON objects as PROTOCOL.md describes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqla_realtime.commit import Change, Position
from sqla_realtime.protocol import v1_gathering, v1_messages
from sqla_realtime.protocol.codes import SUBPROTOCOL, Closing
from sqla_realtime.protocol.gathering import Departed, MemberJoined, MemberLeft, Members, Person, Spoken, Taken
from sqla_realtime.protocol.messages import (
    Bye,
    ClientMessage,
    Command,
    Error,
    Leave,
    NeedsAuth,
    Ping,
    Pong,
    Recovered,
    Renewed,
    Reset,
    Row,
    ServerMessage,
    Snapshot,
    Subscribe,
    Unsubscribed,
    Welcome,
)
from sqla_realtime.protocol.v1_gathering import spelled


class V1:
    """The codec of ``sqla-realtime.v1``."""

    name = SUBPROTOCOL
    merges = True
    rows = True
    lines = False

    def decode(self, text: str) -> ClientMessage:
        return v1_messages.decode(text)

    def batch(self, text: str) -> list[ClientMessage]:
        return v1_messages.batch(text)

    def command(self, text: str) -> Command:
        return v1_messages.command(text)

    def subscription(self, number: int, channels: Sequence[str], after: str | None) -> Subscribe:
        return v1_messages.subscription(number, channels, after)

    def encode(self, message: ServerMessage) -> bytes:
        match message:
            case Snapshot():
                return self._snapshot(message)
            case Recovered():
                return self._recovered(message)
            case Members() | MemberJoined() | MemberLeft() | Departed() | Taken() | Spoken():
                return v1_gathering.spell(message)
            case _:
                return spelled(_plain(message))

    def closes(self, code: Closing) -> Closing:
        return code

    def change(self, change: Change) -> bytes:
        head: dict[str, Any] = {"type": change.type, "class": change.cls, "id": change.id, "channel": change.channel}
        if change.changed:
            head["changed"] = change.changed
        if change.cause is not None:
            head["cause"] = change.cause
        text = spelled(head)
        return text if change.record is None else b'%b,"record":%b}' % (text[:-1], change.record)

    def person(self, member: Person) -> bytes:
        """One member as it stands in messages; called once per member, however many are told of it."""
        return v1_gathering.person(member)

    def commit(self, position: Position, changes: Sequence[bytes], origin: str | None = None) -> bytes:
        tail = b"" if origin is None else b',"origin":%b' % spelled(origin)
        return b'{"commit":"%b","changes":[%b]%b}' % (str(position).encode(), b",".join(changes), tail)

    def _snapshot(self, message: Snapshot) -> bytes:
        item = b'{"channel":%b,"rows":[%b]}' % (spelled(message.channel), b",".join(map(_row, message.rows)))
        return _subscribed(message.id, message.position, [item])

    def _recovered(self, message: Recovered) -> bytes:
        items = (spelled({"channel": channel, "recovered": True}) for channel in message.channels)
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
    return b'{"class":%b,"id":%b,"record":%b}' % (spelled(row.cls), spelled(row.id), row.record)


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
