"""Whom signed data speaks of, in Pusher's protocol: a user, what the others are told of it, and whom it watches."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqla_realtime.protocol.pusher_messages import compact
from sqla_realtime.protocol.pusher_names import MAX_USER


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an application's signature speaks of: ``id`` is None where it does not say. ``expires`` is the end of what it was
    signed for, in seconds since the epoch, None where it has none. ``watched`` are the users whom it watches."""

    id: str | None = None
    info: Any = None
    expires: float | None = None
    watched: tuple[str, ...] = ()


def person_in(data: str, key: str) -> Person:
    """Whom signed data speaks of. Raises ValueError where it is none."""
    try:
        fields = json.loads(data)
        compact(fields)  # what has no JSON, such as 1e999, could be told to nobody in a channel
    except RecursionError as error:
        raise ValueError(key) from error
    user = fields.get(key) if isinstance(fields, Mapping) else None
    if isinstance(user, int) and not isinstance(user, bool):
        user = str(user)  # as libraries in some languages have it
    if not isinstance(user, str) or not 0 < len(user) <= MAX_USER or not user.isprintable():
        raise ValueError(key)
    expires = fields.get("expires")
    if not isinstance(expires, int | float | None) or isinstance(expires, bool) or abs(expires or 0) > sys.float_info.max:
        raise ValueError(key)
    watched = fields.get("watchlist")
    ids = [str(each) for each in watched if type(each) in (str, int)] if isinstance(watched, list) else []
    return Person(user, fields.get("user_info"), expires, tuple(ids))
