"""Who is here: the conversations under way on one server, whatever carries them, and the streams to cut when they must end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tornado.iostream import IOStream

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.settings import Settings
from sqla_realtime.transports.handshake import Gate


@dataclass(slots=True)
class Lobby:
    """What the handlers of one server share; ``conversations`` are those under way, with the moment they began.

    Loop thread only, but for ``abandon``.
    """

    house: House
    gate: Gate
    codecs: dict[str, Codec]
    settings: Settings
    conversations: dict[Conversation, float] = field(default_factory=dict)
    _streams: dict[Conversation, IOStream] = field(default_factory=dict)
    _reachable: dict[str, Conversation] = field(default_factory=dict)
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: tuple[CloseCode, int] | None = None

    @property
    def codec(self) -> Codec:
        """The dialect of whoever can't choose one."""
        return next(iter(self.codecs.values()))

    def enter(self, conversation: Conversation, stream: IOStream, *, reachable: bool = False) -> None:
        """A conversation begins. ``reachable``: what its client says comes by other ways than its stream.

        A client that comes back before its earlier stream is known to be dead is reached on the later one.
        """
        self.conversations[conversation] = asyncio.get_running_loop().time()
        self._streams[conversation] = stream
        if reachable:
            self._reachable[conversation.connection.id] = conversation
        if self._closing is not None:
            conversation.connection.close(*self._closing)

    def leave(self, conversation: Conversation) -> None:
        """A conversation has ended. Doing so twice changes nothing."""
        self.conversations.pop(conversation, None)
        self._streams.pop(conversation, None)
        if self._reachable.get(conversation.connection.id) is conversation:
            del self._reachable[conversation.connection.id]
        self._left.set()

    def find(self, connection: str) -> Conversation | None:
        """The reachable conversation of a connection's id."""
        return self._reachable.get(connection)

    def dismiss(self, code: CloseCode, retry_after_ms: int) -> None:
        """Say goodbye to everybody, and to whoever comes in later: a connection that is kept alive may bring more."""
        self._closing = (code, retry_after_ms)
        for conversation in list(self.conversations):
            conversation.connection.close(code, retry_after_ms)

    async def emptied(self) -> None:
        """Wait until the last conversation has ended."""
        while self.conversations:
            self._left.clear()
            await self._left.wait()

    def drop(self) -> None:
        """Cut whoever has not closed in time, or does not read what would tell it to."""
        for stream in list(self._streams.values()):
            stream.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's clients. The loop, which the parent still uses, must not notice."""
        for stream in self._streams.values():
            stream.socket.close()
