"""How the native dialect spells who is in a channel and what they say: JSON objects, around JSON that others have made."""

from __future__ import annotations

import json
from typing import Any

from sqla_realtime.protocol.gathering import Departed, MemberJoined, MemberLeft, Members, Person, Spoken, Taken

# Made once: json.dumps() makes one for each value.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def spelled(value: Any) -> bytes:
    """A value as strict JSON in UTF-8."""
    return _ENCODER.encode(value).encode()


def person(member: Person) -> bytes:
    """One member, as it stands in messages."""
    return b'{"id":%b,"info":%b}' % (spelled(member.id), member.info.encode())


def spell(message: Members | MemberJoined | MemberLeft | Departed | Taken | Spoken) -> bytes:
    """A message as UTF-8 text."""
    match message:
        case Members():
            return _members(message)
        case MemberJoined():
            head = spelled({"type": "joined", "channel": message.channel, "tag": message.tag})
            return b'%b,"member":%b}' % (head[:-1], person(message.member))
        case MemberLeft():
            return spelled({"type": "left", "channel": message.channel, "tag": message.tag, "member": message.member})
        case Departed():
            return spelled({"type": "departed", "id": message.id, "channel": message.channel})
        case Taken():
            return spelled({"type": "taken", "id": message.id})
        case Spoken():
            head = spelled({"type": "event", "channel": message.channel, "name": message.name, "from": message.member})
            return b'%b,"data":%b}' % (head[:-1], message.data.encode())


def _members(message: Members) -> bytes:
    fields = {"id": message.id, "channel": message.channel, "tag": message.tag, "you": message.you}
    head = spelled({"type": "members"} | {name: value for name, value in fields.items() if value is not None})
    if message.members is None:
        return head
    return b'%b,"members":[%b]}' % (head[:-1], b",".join(message.members))
