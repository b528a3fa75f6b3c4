"""A snapshot under way: changes that come while the rows are read are kept, and laid over them by key when they arrive.

The watermark algorithm of change-data-capture tools: the low mark is the hub's position when the flight begins, the
high mark a position of the log after the read has ended. The read may have seen any of the commits between the marks
or none; each row's last change between them is what the row is at the high mark, whichever was the case. Whoever asks
for the same channel meanwhile waits for the same flight, because its low mark is no later than theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from sqla_realtime.commit import Change, Entry
from sqla_realtime.hub.connection import Connection
from sqla_realtime.protocol.messages import Row


class Flight:
    """One channel's snapshot from its beginning to its landing. ``waiters`` maps connections to their request's id. One
    that ``checks`` is flown though nobody waits for it."""

    def __init__(self, channel: str, pattern: str, *, checks: bool = False) -> None:
        self.channel = channel
        self.pattern = pattern
        self.waiters: dict[Connection, int] = {}
        self.checks = checks
        self.spoiled = False
        self._later: dict[tuple[str, str], Change] = {}

    @property
    def wanted(self) -> bool:
        """Whether there is a reason to read the rows."""
        return self.checks or bool(self.waiters)

    @property
    def told(self) -> Set[tuple[str, str]]:
        """The keys of the rows that commits have told meanwhile."""
        return self._later.keys()

    def restart(self) -> None:
        """The rows will be read again: what came until now they will have seen."""
        self.spoiled = False
        self._later.clear()

    def offer(self, entry: Entry) -> None:
        """A commit has come while the rows are being read."""
        if not entry.commit.invalidated.isdisjoint((self.channel, self.pattern)):
            self.spoiled = True
        for change in entry.commit.changes:
            if change.channel == self.channel:
                self._later[change.cls, change.id] = change

    def merge(self, rows: Iterable[Row]) -> list[Row]:
        """The rows as they are after every commit that was offered."""
        merged = {(row.cls, row.id): row for row in rows}
        for key, change in self._later.items():
            if change.record is None:
                merged.pop(key, None)
            else:
                merged[key] = Row(change.cls, change.id, change.record)
        return list(merged.values())
