"""A client of Juggernaut: it joins channels by their other names, and what it can't ask for is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake, Refused
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import ClientMessage, ServerMessage, Snapshot, Subscribe, Unsubscribe
from sqla_realtime.transports.again import ask_again
from sqla_realtime.transports.juggernaut.gone import Gone
from sqla_realtime.transports.mailbox import Mailbox
from sqla_realtime.transports.pump import Pump


class Reader(Pump):
    """A connection whose client cannot ask: ``again`` is called with channels that have to be begun anew.

    A client that comes back does not say so, so everybody is told of the rows that are gone before those that are there.
    """

    __slots__ = ("_gone", "again")

    def __init__(self, codec: Codec, budget: int, gone: Gone) -> None:
        super().__init__(codec, budget)
        self._gone = gone
        self.again: Callable[[Sequence[str]], None] = lambda channels: None

    def tell(self, message: ServerMessage) -> None:
        if isinstance(message, Snapshot):
            self._bury(message)
        super().tell(message)
        ask_again(message, self.again)

    def _bury(self, message: Snapshot) -> None:
        there = {(row.cls, row.id) for row in message.rows}
        gone = [self.codec.change(change) for key, change in self._gone.of(message.channel).items() if key not in there]
        if lines := b"\n".join(filter(None, gone)):
            self.settle()
            self.send(lines)


class PollReader(Reader, Mailbox):
    """One that polls."""


class Talk(Conversation):
    """``channels`` are those that a name stands for. To subscribe twice is to subscribe."""

    __slots__ = ("_channels",)

    def __init__(self, house: House, reader: Reader, handshake: Handshake, channels: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__(house, reader, handshake)
        self._channels = channels
        reader.again = self._again

    def hear(self, message: ClientMessage) -> None:
        if isinstance(message, Subscribe | Unsubscribe):
            [name] = message.channels
            message = replace(message, channels=self._channels(name))
        super().hear(message)

    async def _subscribe(self, message: Subscribe) -> None:
        joined = self._house.hub.joined(self.connection)
        fresh = tuple(name for name in message.channels if name not in joined)
        if not message.channels:
            refused = Refused(ErrorCode.FORBIDDEN, "There is no such channel, or it is not for you.")
            self._house.refuse(self.connection, refused, "")
        elif fresh:
            await super()._subscribe(replace(message, channels=fresh))

    def _again(self, channels: Sequence[str]) -> None:
        self.take(Subscribe(0, tuple(channels)))
