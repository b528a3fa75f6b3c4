"""What a client has missed, worked out once for all who come back from the same place at the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqla_realtime.commit import Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.history import History
from sqla_realtime.hub.connection import Connection
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.messages import Missed

# For so many different places what was worked out is remembered, until the next commit; each may be a whole budget of bytes.
PLACES = 8


@dataclass(frozen=True, slots=True)
class Gap:
    """What lies between a position and the log's end, for channels: those that lost nothing by the way, the commits that
    they saw, their bytes, the connections that made any commit, and by dialect how nobody's commits are spelled."""

    recovered: Sequence[str]
    commits: Sequence[Missed]
    size: int
    origins: frozenset[str | None]
    spelled: dict[str, list[bytes]] = field(default_factory=dict)


class Past:
    """One log's history, as clients that come back ask for it. Loop thread only."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._head = history.head
        self._known: dict[tuple[Position, tuple[tuple[str, str], ...]], Gap | None] = {}

    def missed(
        self, connection: Connection, channels: Mapping[str, str], after: Position
    ) -> tuple[Sequence[str], Sequence[bytes], bool]:
        """Which channels (name to pattern) can be brought from a position to the log's end, and with which commits, as the
        connection's codec spells them; and whether it has made any commit since, also elsewhere. It is told which are its own.

        None can where their changes are more bytes than its budget: rows once are less than everything that happened to them.
        """
        if self._history.head != self._head or len(self._known) >= PLACES:
            self._head = self._history.head
            self._known.clear()
        place = after, tuple(channels.items())
        if place not in self._known:
            self._known[place] = self._gap(channels, after)
        gap = self._known[place]
        if gap is None or gap.size > connection.budget:
            return [], [], False
        codec = connection.codec
        if connection.id in gap.origins:
            return gap.recovered, [_spell(codec, each, connection.id) for each in gap.commits], True
        if codec.name not in gap.spelled:
            gap.spelled[codec.name] = [_spell(codec, each, None) for each in gap.commits]
        return gap.recovered, gap.spelled[codec.name], False

    def _gap(self, channels: Mapping[str, str], after: Position) -> Gap | None:
        try:
            missed = self._history.after(after)
        except PositionGone:
            return None
        gaps = frozenset[str]().union(*(entry.commit.invalidated for entry in missed))
        recovered = [name for name, pattern in channels.items() if gaps.isdisjoint((name, pattern))]
        wanted = frozenset(recovered)
        commits = [
            Missed(entry.position, changes, entry.commit.origin)
            for entry in missed
            if (changes := [change for change in entry.commit.changes if change.channel in wanted])
        ]
        size = sum(change.size for each in commits for change in each.changes)
        return Gap(recovered, commits, size, frozenset(entry.commit.origin for entry in missed))


def _spell(codec: Codec, commit: Missed, reader: str | None) -> bytes:
    """A commit, which says whose it is only to that connection itself."""
    origin = commit.origin if commit.origin == reader else None
    return codec.commit(commit.position, [codec.change(change) for change in commit.changes], origin)
