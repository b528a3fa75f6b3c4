"""The bodies of Pusher's HTTP API: events that somebody publishes, read exactly, with the limits that its libraries know."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sqla_realtime.commit import Event
from sqla_realtime.protocol.pusher_messages import MAX_DATA, MAX_EVENT
from sqla_realtime.protocol.pusher_names import parse

# So many channels may one event go to, and so many events may be in one batch.
CHANNELS = 100
BATCH = 10
# What a body may be: a batch of events of the largest size, however they are escaped.
BODY = 256 * 1024
SOCKET = re.compile(r"[0-9]{1,20}\.[0-9]{1,20}")
# Names that only the server gives.
RESERVED = ("pusher:", "pusher_internal:")


class Bad(Exception):
    """A request that is not taken; ``status`` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def body(text: bytes) -> Mapping[str, Any]:
    """The object in a body. Raises Bad."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Bad("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise Bad("The body is not a JSON object.")
    return found


def published(app: str, fields: Mapping[str, Any]) -> list[Event]:
    """One event, in each of its channels. Raises Bad."""
    channels = fields.get("channels", [fields["channel"]] if "channel" in fields else None)
    if not isinstance(channels, list) or not 0 < len(channels) <= CHANNELS:
        raise Bad(f"channels must be a list of 1 to {CHANNELS} names.")
    name, data, without = _name(fields.get("name")), _data(fields.get("data")), fields.get("socket_id")
    if without is not None and not (isinstance(without, str) and SOCKET.fullmatch(without)):
        raise Bad("socket_id must be the id of a connection.")
    for channel in channels:
        found = parse(channel) if isinstance(channel, str) else None
        if found is None or (found.kind == "encrypted" and len(channels) > 1):
            raise Bad("A channel is none that an event can go to.")
    return [Event(app, channel, name, data, None, without) for channel in dict.fromkeys(channels)]


def batched(app: str, fields: Mapping[str, Any]) -> list[Event]:
    """The events of a batch. Raises Bad."""
    batch = fields.get("batch")
    if not isinstance(batch, list) or not 0 < len(batch) <= BATCH or not all(isinstance(item, dict) for item in batch):
        raise Bad(f"batch must be a list of 1 to {BATCH} events.")
    return [event for item in batch for event in published(app, item)]


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_EVENT or not _sendable(value):
        raise Bad(f"name must be text of 1 to {MAX_EVENT} characters.")
    if value.startswith(RESERVED):
        raise Bad("Events of this name are the server's own.")
    return value


def _data(value: object) -> str:
    if not isinstance(value, str) or not _sendable(value):
        raise Bad("data must be text.")
    if len(value.encode()) > MAX_DATA:
        raise Bad(f"data may have {MAX_DATA} bytes.", 413)
    return value


def _sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
