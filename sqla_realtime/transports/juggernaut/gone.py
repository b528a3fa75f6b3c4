"""Rows that a channel has lost lately, told to whoever begins with its rows: it may have been here before."""

from __future__ import annotations

from collections.abc import Iterable

from sqla_realtime.commit import Change, Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.hub.hub import Hub

# What the history has forgotten is forgotten here too when so many commits have come since.
SPARE = 1000


class Gone:
    """What the hub's history knows of them, kept up with it. Loop thread only."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._head: Position | None = None
        self._count = 0
        self._known: dict[str, dict[tuple[str, str], Change]] = {}

    def of(self, channel: str) -> dict[tuple[str, str], Change]:
        """The last destroy of every row, by class and id, that was in a channel and is not, as far as is remembered."""
        history = self._hub.history
        if history.head != self._head:
            fresh = self._fresh()
            if fresh is None or self._count > SPARE + len(history):
                self._known, self._count, fresh = {}, 0, history
            self._head = history.head
            self._learn(fresh)
        return self._known.get(channel, {})

    def _fresh(self) -> Iterable[Entry] | None:
        """The entries since the last time, None where that is not known."""
        try:
            return None if self._head is None else self._hub.history.after(self._head)
        except PositionGone:
            return None

    def _learn(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._count += 1
            for change in entry.commit.changes:
                rows = self._known.setdefault(change.channel, {})
                if change.type == "destroy":
                    rows[change.cls, change.id] = change
                else:
                    rows.pop((change.cls, change.id), None)
