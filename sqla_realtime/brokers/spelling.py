"""A commit as it is kept in a database: JSON text in UTF-8. The records in it are the very bytes that were made of the rows.

What a trigger has written is a table's rows instead, as the database spells them (see triggers).

Whatever does not read as one is none: nothing is evaluated, and nobody is sent a part of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqla_realtime.commit import Cause, Change, ChangeType, Commit, Event, Order

# What a reader has to know to read it; a later version may add to the object, but not change what is there.
VERSION = 1
_TYPES = frozenset({"create", "update", "destroy"})
_CAUSES = frozenset({"enter", "leave", None})


class Unreadable(ValueError):
    """These bytes are no commit of this version."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What one statement did to a table, as a trigger saw it: its rows before and after, by column. ``many``: too many to
    be written down. ``body`` is the text that it was read from, because JSON's numbers are more exact than Python's."""

    schema: str
    table: str
    gone: Sequence[dict[str, Any]]
    come: Sequence[dict[str, Any]]
    many: bool
    body: str


def spell(commit: Commit) -> bytes:
    """The commit's text."""
    changes = [_spelled(change) for change in commit.changes]
    value: dict[str, Any] = {
        "v": VERSION,
        "changes": changes,
        "invalidated": sorted(commit.invalidated),
        "origin": commit.origin,
    }
    if commit.orders:
        value["orders"] = commit.orders
    if commit.events:
        value["events"] = commit.events
    if side := [index for index, change in enumerate(commit.changes) if change.side]:
        value["side"] = side
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read(text: str) -> Commit | Rows:
    """The commit, or the rows, spelled so. Raises Unreadable."""
    try:
        value = json.loads(text)
        if value["v"] != VERSION:
            raise Unreadable(f"version {value['v']!r}")
        return _rows(value, text) if "table" in value else _commit(value)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Unreadable(str(error)) from error


def _commit(value: Any) -> Commit:
    origin = value["origin"]
    if not (origin is None or isinstance(origin, str)):
        raise Unreadable("origin")
    changes, orders = list(map(_change, value["changes"])), tuple(map(_order, value.get("orders", ())))
    for index in value.get("side", ()):
        changes[index] = changes[index]._replace(side=True)
    events = tuple(map(_event, value.get("events", ())))
    return Commit(tuple(changes), frozenset(map(_text, value["invalidated"])), origin, orders, events)


def _rows(value: Any, body: str) -> Rows:
    gone, come = ([dict(row) for row in value[name] or ()] for name in ("gone", "come"))
    return Rows(_text(value["schema"]), _text(value["table"]), gone, come, value["many"] is True, body)


def _spelled(change: Change) -> list[Any]:
    channel, kind, cls, key, record, changed, cause, _ = change
    return [channel, kind, cls, key, None if record is None else record.decode(), changed, cause]


def _change(value: Any) -> Change:
    channel, kind, cls, key, record, changed, cause = value
    if kind not in _TYPES or cause not in _CAUSES:
        raise Unreadable("type or cause")
    return Change(
        _text(channel),
        cast(ChangeType, kind),
        _text(cls),
        _text(key),
        None if record is None else _text(record).encode(),
        tuple(map(_text, changed)),
        cast("Cause | None", cause),
    )


def _order(value: Any) -> Order:
    kind, subject = value
    if kind not in ("revoke", "recheck"):
        raise Unreadable("order")
    return Order(kind, _text(subject))


def _event(value: Any) -> Event:
    *said, user, without = value
    app, channel, name, data = map(_text, said)
    if not all(each is None or isinstance(each, str) for each in (user, without)):
        raise Unreadable("event")
    return Event(app, channel, name, data, user, without)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable("text expected")
    return value
