"""What connections are sent of one commit: bytes that are made once per codec and set of channels, and shared from there on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqla_realtime.commit import Entry
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.edition import Edition, Post
from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.messages import Missed


class Frames:
    """One entry of the log, spelled for whoever it concerns.

    Whoever made the commit (``own``) has an edition of its own, which tells it so; nobody else's names the origin. The
    changes are spelled once, whatever frames they stand in.
    """

    def __init__(self, entry: Entry, own: Collection[Connection], post: Post) -> None:
        self._entry = entry
        self._own = own
        self._post = post
        self._changes: dict[tuple[str, int], bytes] = {}

    def send(self, channels: frozenset[str], connections: list[Connection]) -> None:
        """Send the commit to connections that are in the same of its channels."""
        own = [connection for connection in connections if connection in self._own] if self._own else []
        if own:
            connections = [connection for connection in connections if connection not in self._own]
            mine = self._edition(channels, self._entry.commit.origin)
            for connection in own:
                connection.settle()
                mine.give(connection)
        if connections:
            self._post(self._edition(channels), connections)

    def _edition(self, channels: frozenset[str], origin: str | None = None) -> Edition:
        return Edition(self._entry.position, lambda codec: self._spell(codec, channels, origin))

    def _spell(self, codec: Codec, channels: frozenset[str], origin: str | None) -> Frame:
        changes, texts = [], []
        for index, change in enumerate(self._entry.commit.changes):
            if change.channel in channels:
                text = self._changes.get((codec.name, index))
                if text is None:
                    text = self._changes[codec.name, index] = codec.change(change)
                changes.append(change)
                texts.append(text)
        position = self._entry.position
        return Frame(codec.commit(position, texts, origin), Missed(position, changes, origin))


def groups(touched: Mapping[str, Mapping[Connection, None]]) -> dict[frozenset[str], list[Connection]]:
    """The connections that a commit concerns, by which of its channels they are in."""
    if len(touched) == 1:
        [(name, connections)] = touched.items()
        return {frozenset((name,)): list(connections)}
    joined: dict[Connection, list[str]] = {}
    for name, connections in touched.items():
        for connection in connections:
            joined.setdefault(connection, []).append(name)
    found: dict[frozenset[str], list[Connection]] = {}
    for connection, names in joined.items():
        found.setdefault(frozenset(names), []).append(connection)
    return found
