"""Connections to which nothing is sent for now, because it is being asked again what they may see; and what they were in.

A connection has one position, so it is held as a whole: were its other channels to go on, its position would pass over
what is withheld from it, and a client that came back with it would never be told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqla_realtime.commit import Position


@dataclass(slots=True)
class Held:
    """One connection's place: the position of its channels (``live``, name to pattern), and the channels whose rows it
    waits for (``waiting``, name to request and pattern)."""

    since: Position
    live: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, tuple[int, str]] = field(default_factory=dict)

    def drop(self, name: str) -> None:
        """The connection is no longer in a channel."""
        self.live.pop(name, None)
        self.waiting.pop(name, None)

    @property
    def patterns(self) -> dict[str, str]:
        """Every channel's pattern."""
        return self.live | {name: pattern for name, (_, pattern) in self.waiting.items()}
