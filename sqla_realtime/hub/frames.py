"""What connections are sent of one commit: bytes that are made once per codec and set of channels, and shared from there on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqla_realtime.commit import Entry
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.messages import Missed


class Frames:
    """One entry of the log, spelled for whoever it concerns.

    Whoever made the commit has a frame of its own, which tells it so; nobody else's names the origin. Its changes are
    spelled once, whatever frames they stand in.
    """

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._changes: dict[tuple[str, int], bytes] = {}

    def send(self, channels: frozenset[str], connections: Iterable[Connection]) -> None:
        """Send the commit to connections that are in the same of its channels."""
        position, origin = self._entry.position, self._entry.commit.origin
        shared: dict[str, Frame] = {}
        last: Codec | None = None
        for connection in connections:
            codec = connection.codec
            if codec is not last:
                last, frame = codec, self._shared(codec, channels, shared)
            connection.told = position
            # An id is an object more to look at for every delivery.
            own = origin is not None and connection.id == origin
            connection.send(self._spell(codec, channels, origin) if own else frame)

    def _shared(self, codec: Codec, channels: frozenset[str], shared: dict[str, Frame]) -> Frame:
        if codec.name not in shared:
            shared[codec.name] = self._spell(codec, channels)
        return shared[codec.name]

    def _spell(self, codec: Codec, channels: frozenset[str], origin: str | None = None) -> Frame:
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


def groups(touched: Mapping[str, Mapping[Connection, None]]) -> dict[frozenset[str], Iterable[Connection]]:
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
    return {**found}
