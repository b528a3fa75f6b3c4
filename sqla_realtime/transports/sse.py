"""Server-sent events: one stream of messages, for a browser's own EventSource (GET) or for fetch (POST)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.messages import Bye, Hello, ServerMessage, Welcome
from sqla_realtime.transports.again import ask_again
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pump import Pump
from sqla_realtime.transports.stream import StreamHandler

# How long an EventSource waits before it comes back, in milliseconds; a random part, so that many do not come in step.
RETRY_MS = (1000, 3000)


class EventsHandler(StreamHandler):
    """Each event is one message. An EventSource can only listen, so whatever else a client must do is done for it here:
    it subscribes the channels of its URL, and again after a reset."""

    content_type = "text/event-stream"
    reachable = True

    def initialize(self, lobby: Lobby) -> None:
        super().initialize(lobby)
        self._wanted: frozenset[str] | None = None
        self._number = 1
        self._begun = False

    async def get(self) -> None:
        """For EventSource, which says who it is with its cookie."""
        after = self.request.headers.get("Last-Event-ID") or None
        names = [name.decode("utf-8", "replace") for name in self.request.query_arguments.get("channel", [])]
        try:
            subscribe = self._lobby.codec.subscription(self._number, list(dict.fromkeys(names)), after)
        except BadMessage as bad:
            self.refuse(Refused(bad.code, bad.message, "Name them in the URL: ?channel=A&channel=B"))
            return
        self._wanted = frozenset(subscribe.channels)
        connection = _Listener(self._lobby, self._subscribe)
        await self.converse(connection, [Hello(), subscribe])

    async def post(self) -> None:
        """For fetch: the body is what the client would say on a WebSocket."""
        try:
            messages = self.posted()
        except Refused as refused:
            self.refuse(refused)
            return
        connection = _Reader(self._lobby)
        [hello, *_] = messages
        if isinstance(hello, Hello) and hello.connection is not None:
            connection.id = hello.connection  # reachable under it from the beginning
        await self.converse(connection, messages)

    def frame(self, messages: list[bytes]) -> bytes:
        lines = [b"data: %b\n\n" % data for data in messages]
        lines[-1] = self._id() + lines[-1]
        connection = self.conversation.connection
        retry = connection.retry_after_ms if isinstance(connection, _Listener) else None
        if retry is None and not self._begun:
            retry = random.randint(*RETRY_MS)  # noqa: S311
        if retry is not None:
            lines.insert(0, b"retry: %d\n" % retry)
        self._begun = True
        return b"".join(lines)

    def _id(self) -> bytes:
        """What the EventSource will come back with as Last-Event-ID, once it has the last of the queued messages.

        One position speaks for all channels of the URL, so there is none before all are answered, and it is taken back
        where one was refused: its rows are gone, and a later resume would not bring them. With all of them live the
        client is where the last of these messages takes it.
        """
        if self._wanted is None:
            return b""
        connection = self.conversation.connection
        if connection.told is not None and self._wanted <= connection.channels:
            return b"id: %b\n" % str(connection.told).encode()
        return b"id\n" if self.conversation.settled else b""

    def _subscribe(self, channels: Sequence[str]) -> None:
        self._number += 1
        self.conversation.take(self._lobby.codec.subscription(self._number, channels, None))


class _Reader(Pump):
    """A connection whose client is told with its hello what commands for it must bring along."""

    __slots__ = ("_siblings",)

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby.codec, lobby.settings.queue_bytes)
        self._siblings = lobby.siblings

    def tell(self, message: ServerMessage) -> None:
        if isinstance(message, Welcome) and self._siblings is not None:
            message = replace(message, via=self._siblings.via)
        super().tell(message)


class _Listener(_Reader):
    """A connection whose client cannot ask: ``again`` is called with channels that are to be asked for again. When it is
    to come back it reads in ``retry`` alone."""

    __slots__ = ("_again", "retry_after_ms")

    def __init__(self, lobby: Lobby, again: Callable[[Sequence[str]], None]) -> None:
        super().__init__(lobby)
        self._again = again
        self.retry_after_ms: int | None = None

    def tell(self, message: ServerMessage) -> None:
        super().tell(message)
        if isinstance(message, Bye):
            self.retry_after_ms = message.retry_after_ms
        ask_again(message, self._again)
