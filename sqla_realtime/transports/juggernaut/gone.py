"""Rows that a channel has lost lately, told to whoever begins with its rows: it may have been here before."""

from __future__ import annotations

from sqla_realtime.commit import Change, Position
from sqla_realtime.hub.hub import Hub


class Gone:
    """What the hub's history knows of them. Loop thread only."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._head: Position | None = None
        self._known: dict[str, dict[tuple[str, str], Change]] = {}

    def of(self, channel: str) -> dict[tuple[str, str], Change]:
        """The last destroy of every row, by class and id, that was in a channel and is not, as far as is remembered."""
        history = self._hub.history
        if history.head != self._head:
            self._head = history.head
            self._known = {}
            # All channels at once: in a rush everybody asks, and each for another one.
            for entry in history:
                for change in entry.commit.changes:
                    rows = self._known.setdefault(change.channel, {})
                    if change.type == "destroy":
                        rows[change.cls, change.id] = change
                    else:
                        rows.pop((change.cls, change.id), None)
        return self._known.get(channel, {})
