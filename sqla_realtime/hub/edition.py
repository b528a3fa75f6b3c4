"""One commit as those are sent it who are in the same of its channels, and the way by which it gets to them."""

from __future__ import annotations

from collections.abc import Callable

from sqla_realtime.commit import Position
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.codec import Codec


class Edition:
    """The same bytes for everyone who speaks the same codec; ``spell`` makes them, once for each."""

    __slots__ = ("_frames", "_spell", "position")

    def __init__(self, position: Position, spell: Callable[[Codec], Frame]) -> None:
        self.position = position
        self._spell = spell
        self._frames: dict[str, Frame] = {}

    def frame(self, codec: Codec) -> Frame:
        """What is sent to whoever speaks this codec."""
        if codec.name not in self._frames:
            self._frames[codec.name] = self._spell(codec)
        return self._frames[codec.name]

    def give(self, connection: Connection) -> None:
        """Queue it for one connection, behind what is queued already."""
        connection.told = self.position
        connection.send(self.frame(connection.codec))


# Has every connection be sent an edition, behind all that it was sent before and before whatever it is told later (see
# Connection.settle). The connections may be kept, but not changed. Loop thread only; does not block.
Post = Callable[[Edition, list[Connection]], None]


def hand_out(edition: Edition, connections: list[Connection]) -> None:
    """The post of a hub whose connections share nothing but the bytes: each has it queued at once."""
    for connection in connections:
        edition.give(connection)
