"""The dialect of Pusher Channels, protocol 7: events with a name, a channel, and data that is JSON inside of JSON.

A change is an event that is named by its type, in the channel that its row is in; ``reset`` says that a channel changed in a
way that is not told row by row. Each is a message of its own. Whoever made a commit is sent what changed along with the
rows that it acted on, and not those.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from sqla_realtime.commit import Change, Event, Position
from sqla_realtime.protocol import pusher_codes
from sqla_realtime.protocol.codec import BadMessage, Spelled
from sqla_realtime.protocol.codes import Closing, ErrorCode
from sqla_realtime.protocol.messages import (
    Bye,
    ClientMessage,
    Command,
    Error,
    Leave,
    Ping,
    Pong,
    Recovered,
    Reset,
    ServerMessage,
    Subscribe,
    Welcome,
)
from sqla_realtime.protocol.pusher_messages import compact, read, texts
from sqla_realtime.protocol.pusher_names import spell

VERSION = "7"
# JSON of one text. An encoder that is made once, because changes are spelled one by one.
_text = json.JSONEncoder(ensure_ascii=False).encode


class Called(NamedTuple):
    """How a client calls a channel of ours. By a name that is an ``alias`` only those classes' changes come that have it."""

    name: str
    alias: str | None = None


class Known(NamedTuple):
    """A member of a channel as it stands in messages: its id, and what is told of it."""

    id: bytes
    info: bytes


class Pusher:
    """The codec of protocol 7. ``public`` says whether a channel of ours is one that anyone may join, and so is called
    without a prefix; ``names`` are those channels that a client knows by other names than that. ``aliased`` says by which
    other name changes of a class in a channel are known."""

    merges = False
    rows = False
    lines = True

    def __init__(
        self,
        public: Callable[[str], bool],
        aliased: Callable[[str, str], str | None] = lambda channel, cls: None,
        names: Mapping[str, Sequence[Called]] | None = None,
    ) -> None:
        self._public = public
        self._aliased = aliased
        self._names = names or {}
        self._named: WeakValueDictionary[str, Pusher] = WeakValueDictionary()
        self.name = "pusher.7" + json.dumps(sorted(self._names.items())) if self._names else "pusher.7"

    def spelled(self, channel: str) -> str:
        """What a channel of ours is called by those who have not asked for it by another name."""
        return spell(channel, public=self._public(channel))

    def naming(self, names: Mapping[str, Sequence[Called]]) -> Pusher:
        """The codec of a client that knows these channels by these names: one for all who do, so that they are sent the same
        at once."""
        made = Pusher(self._public, self._aliased, names)
        return self._named.setdefault(made.name, made)

    def decode(self, text: str) -> ClientMessage:
        return read(text)

    def batch(self, text: str) -> list[ClientMessage]:
        return [read(each) for each in texts(text)]

    def command(self, text: str) -> Command:
        """This dialect names the connection in a request's path."""
        raise BadMessage(ErrorCode.MALFORMED, "the body names no connection")

    def subscription(self, number: int, channels: Sequence[str], after: str | None) -> Subscribe:
        """This dialect has no subscriptions in a URL."""
        raise BadMessage(ErrorCode.MALFORMED, "there are no subscriptions in a URL")

    def encode(self, message: ServerMessage) -> bytes:
        match message:
            case Welcome():
                known = {"socket_id": message.connection, "activity_timeout": max(1, math.ceil(message.ping))}
                return event("pusher:connection_established", known)
            case Ping():
                return event("pusher:ping", {})
            case Pong():
                return event("pusher:pong", {})
            case Error(channel=str()):
                return refused(message.channel or "", message.message)
            case Error():
                return error(None, message.message)
            case Bye():
                # To be closed with one of the others is nothing that its client would want to tell anybody.
                final = message.code < 4100 or message.code >= 4300
                return error(message.code, message.reason) if final else b""
            case Reset():
                return b"\n".join(self._each(message.channels, "reset", {"reason": str(message.reason)}))
            case Leave():
                names = [name for channel in message.channels for name in self._called(channel)]
                return b"\n".join(refused(name, "This channel is no longer for you.") for name in names)
            case Recovered():
                return b"\n".join(filter(None, message.commits))
        return b""  # the conversation has told what the others say

    def closes(self, code: Closing) -> Closing:
        return pusher_codes.closes(code)

    def change(self, change: Change) -> bytes:
        text = told(change)
        lines = b"\n".join(event(change.type, text, name) for name in self._called(change.channel, change.cls))
        return Spelled(lines, side=change.side)

    def commit(self, position: Position, changes: Sequence[bytes], origin: str | None = None) -> bytes:
        if origin is not None:
            changes = [each for each in changes if isinstance(each, Spelled) and each.side]
        return b"\n".join(changes)

    def _called(self, channel: str, cls: str | None = None) -> Sequence[str]:
        names = self._names.get(channel) or (Called(self.spelled(channel)),)
        known = None if cls is None else self._aliased(channel, cls)
        return [each.name for each in names if cls is None or each.alias in (None, known)]

    def _each(self, channels: Sequence[str], name: str, data: dict[str, Any]) -> list[bytes]:
        return [event(name, data, called) for channel in channels for called in self._called(channel)]


def told(change: Change) -> str:
    """The data of a change's event, as JSON."""
    fields: dict[str, Any] = {"id": change.id, "class": change.cls}
    if change.changed:
        fields["changed"] = change.changed
    if change.cause is not None:
        fields["cause"] = change.cause
    text = compact(fields)
    return text if change.record is None else f'{text[:-1]},"record":{change.record.decode()}}}'


def event(name: str, data: dict[str, Any] | str, channel: str | None = None, user: str | None = None) -> bytes:
    """An event. Its data is text, also where that is JSON."""
    place = "" if channel is None else f',"channel":{_text(channel)}'
    speaker = "" if user is None else f',"user_id":{_text(user)}'
    said = _text(data if isinstance(data, str) else compact(data))
    return f'{{"event":{_text(name)}{place},"data":{said}{speaker}}}'.encode()


def heard(said: Event) -> bytes:
    """What somebody has said, as the others hear it."""
    return event(said.name, said.data, said.channel, said.user)


def joined(channel: str, members: Collection[Known] | None = None) -> bytes:
    """The client is in a channel; in one that has members, with these."""
    if members is None:
        return event("pusher_internal:subscription_succeeded", {}, channel)
    head = b'{"event":"pusher_internal:subscription_succeeded","channel":%b' % _text(channel).encode()
    ids = b",".join([each.id for each in members])
    begun = rb'%b,"data":"{\"presence\":{\"count\":%d,\"ids\":[%b],\"hash\":{' % (head, len(members), ids)
    return b"".join((begun, b",".join([each.info for each in members]), b'}}}"}'))


def known(user: str, info: Any) -> Known:
    """A member; called once for each, however many are told of it."""
    key, value = (_text(compact(each))[1:-1] for each in (user, info))
    return Known(key.encode(), f"{key}:{value}".encode())


def missed(channel: str) -> bytes:
    """Nothing has been said in a channel that would remember it."""
    return compact({"event": "pusher:cache_miss", "channel": channel}).encode()


def refused(channel: str, message: str) -> bytes:
    """The client may not be in a channel, as its library tells it where the application has refused."""
    return event("pusher:subscription_error", {"type": "AuthError", "error": message, "status": 403}, channel)


def error(code: int | None, message: str) -> bytes:
    """Something is wrong; its data, unlike all other, is no text."""
    return compact({"event": "pusher:error", "data": {"code": code, "message": message}}).encode()
