"""Who is here: the conversations under way on one server, whatever carries them, and the streams to cut when they must end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tornado.iostream import IOStream

from sqla_realtime.hub.connection import Queued
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.hub.house import House
from sqla_realtime.hub.pace import Bucket
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.settings import Settings
from sqla_realtime.transports.address import Proxies
from sqla_realtime.transports.census import Census
from sqla_realtime.transports.flusher import Flusher
from sqla_realtime.transports.framer import Framer
from sqla_realtime.transports.handshake import Gate
from sqla_realtime.transports.line import Line
from sqla_realtime.transports.siblings import Siblings

# So many goodbyes are said before the loop does something else.
SLICE = 100


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
    flusher: Flusher = field(default_factory=Flusher)
    # Where streams may be that are not here.
    siblings: Siblings | None = None
    # What messages are on a WebSocket, and where each line is one; one function for all, lest each keep one of its own.
    framed: Callable[[Queued], bytes] = field(default_factory=lambda: Framer().framed)
    framed_lines: Callable[[Queued], bytes] = field(default_factory=lambda: Framer(lines=True).framed)
    line: Line = field(init=False)
    census: Census = field(init=False)
    _proxies: Proxies = field(init=False)
    # Who has said nothing yet, and whoever has in the meantime.
    _silent: dict[Conversation, None] = field(default_factory=dict)
    _streams: dict[Conversation, IOStream] = field(default_factory=dict)
    _reachable: dict[str, Conversation] = field(default_factory=dict)
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    # The code and the window in which those return who are told to go.
    _closing: tuple[CloseCode, float] | None = None

    def __post_init__(self) -> None:
        settings = self.settings
        self.line = Line(Bucket(settings.handshake_rate, max(settings.handshake_rate, 1.0)), settings.handshake_line)
        self.census = Census(settings.connections, settings.connections_per_address)
        self._proxies = Proxies(settings.trusted_proxies)

    @property
    def codec(self) -> Codec:
        """The dialect of whoever can't choose one."""
        return next(iter(self.codecs.values()))

    @property
    def patience(self) -> float:
        """How long a poll waits for news, in seconds: no longer than it would take for a ping, which clients count on."""
        return min(self.settings.poll_wait, self.settings.ping_interval)

    def handshake(self, headers: Mapping[str, str], peer: str) -> Handshake:
        """What is known of a client by its request's headers (by lower-case name) and the address that it comes from."""
        address = self._proxies.client(peer, headers.get("x-forwarded-for"))
        return Handshake(headers, address, self._proxies.group(peer, address))

    def enter(self, conversation: Conversation, stream: IOStream | None, *, reachable: bool = False) -> None:
        """A conversation begins, on a stream or on many one after the other; one that is too many is told so, and to come
        back. ``reachable``: what its client says comes by other ways than its stream.

        A client that comes back before its earlier stream is known to be dead is reached on the later one.
        """
        self.conversations[conversation] = asyncio.get_running_loop().time()
        if stream is not None:
            self._streams[conversation] = stream
        if reachable:
            self._reachable[conversation.connection.id] = conversation
        if self._closing is not None:
            self._turn_away(conversation, *self._closing)
            return
        code = self.census.enter(conversation, conversation.handshake.group)
        if code is not None:
            self.house.tally.note(code.reason)
            self._turn_away(conversation, code, self.settings.restart_window)
            return
        self._silent[conversation] = None
        if len(self._silent) > self.settings.unadmitted:
            self._make_room()

    def leave(self, conversation: Conversation) -> None:
        """A conversation has ended. Doing so twice changes nothing."""
        self.conversations.pop(conversation, None)
        self.census.leave(conversation)
        self._silent.pop(conversation, None)
        self._streams.pop(conversation, None)
        if self._reachable.get(conversation.connection.id) is conversation:
            del self._reachable[conversation.connection.id]
        self._left.set()

    def find(self, connection: str) -> Conversation | None:
        """The reachable conversation of a connection's id."""
        return self._reachable.get(connection)

    async def dismiss(self, code: CloseCode) -> None:
        """Say goodbye to everybody, and to whoever comes in later: a connection that is kept alive may bring more.

        They are to come back one by one within a window that is as long as their handshakes will take.
        """
        window = max(self.settings.restart_window, len(self.conversations) / self.settings.handshake_rate)
        self._closing = (code, window)
        self.line.close()
        for number, conversation in enumerate(list(self.conversations), 1):
            self._turn_away(conversation, code, window)
            if number % SLICE == 0:
                await asyncio.sleep(0)

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

    def _turn_away(self, conversation: Conversation, code: CloseCode, window: float) -> None:
        """Each at a moment of its own, lest all come back at once."""
        conversation.connection.close(code, int(random.uniform(0, window) * 1000))  # noqa: S311

    def _make_room(self) -> None:
        """A client that means it says hello at once, so the one that has been silent for longest goes."""
        self._silent = {each: None for each in self._silent if not each.greeted}
        if len(self._silent) > self.settings.unadmitted:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            self.house.tally.note(CloseCode.HELLO_TIMEOUT.reason)
            oldest.connection.close(CloseCode.HELLO_TIMEOUT)
