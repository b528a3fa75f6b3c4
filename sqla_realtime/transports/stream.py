"""A conversation on one HTTP response: what the client says is in the request, what it is sent is the response's body."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tornado.iostream import IOStream

from sqla_realtime.hub.connection import Queued, several
from sqla_realtime.hub.conversation import INBOX, Conversation
from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.gathering import Attend
from sqla_realtime.protocol.messages import ClientMessage, Hello
from sqla_realtime.transports.gated import BodyHandler
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pump import Pump


class StreamHandler(BodyHandler):
    """Server-sent events and the long-poll are this; they differ in how they frame messages and in when they end."""

    content_type = "application/json"
    # Whether commands may come for it over other requests.
    reachable = False
    # From the moment when it has a pump.
    conversation: Conversation

    def initialize(self, lobby: Lobby) -> None:
        super().initialize(lobby)
        self._pump: Pump | None = None
        self._over = asyncio.Event()

    # What the transports decide.

    def frame(self, messages: list[bytes]) -> bytes:
        """Messages as they stand in the body."""
        raise NotImplementedError

    def drained(self) -> None:
        """All that was queued has been written."""
        if self.conversation.connection.close_code is not None:
            self.over()

    # What they share.

    def posted(self) -> list[ClientMessage]:
        """The messages in the request's body, a hello first. Raises Refused."""
        try:
            messages = self._lobby.codec.batch(self.body())
        except BadMessage as bad:
            raise Refused(bad.code, bad.message) from None
        # A poll brings everything that its client attends along each time: as much as it may attend comes on top.
        settings = self._lobby.settings
        attends = sum(isinstance(each, Attend) for each in messages)
        self.check_count(messages[min(attends, settings.subscriptions, max(0, INBOX - settings.max_messages)) :])
        if not messages or not isinstance(messages[0], Hello):
            raise Refused(ErrorCode.HELLO_REQUIRED, "The first message must be hello.")
        return messages

    async def converse(self, pump: Pump, messages: Sequence[ClientMessage]) -> None:
        """Begin with what the client has said already when it is its turn, and return when it is over."""
        try:
            await self.line_up()
        except Refused as refused:
            self.refuse(refused)
            return
        stream: IOStream = self.http.stream
        if self._gone or stream.closed():
            return
        self.set_header("Content-Type", self.content_type)
        self.set_header("Cache-Control", "no-store")
        # Understood by nginx and its like: pass on what comes when it comes.
        self.set_header("X-Accel-Buffering", "no")
        stream.set_nodelay(True)
        self.flush()
        if stream.closed():
            return
        handshake = self._lobby.handshake(self.named(), self.request.remote_ip or "")
        self.conversation = Conversation(self._lobby.house, pump, handshake)
        self._pump = pump
        pump.attach(stream, self._lobby.flusher, self._chunk, self.drained)
        self._lobby.enter(self.conversation, stream, reachable=self.reachable)
        try:
            for message in messages:
                self.conversation.take(message)
            await self._over.wait()
        except BaseException:
            self._end()
            raise

    def over(self) -> None:
        """The response is complete. Its end is written before the lobby lets go of it: a stop waits for no more."""
        self.finish()
        self._end()
        self._over.set()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._end()
        self._over.set()

    def _chunk(self, queued: Queued) -> bytes:
        """A piece of the body as Tornado has announced it in the headers (RFC 9112 7.1)."""
        data = self.frame(several(queued))
        return b"%x\r\n%b\r\n" % (len(data), data) if "Transfer-Encoding" in self._headers else data

    def _end(self) -> None:
        if self._pump is not None:
            self._pump.stop()
            self._lobby.leave(self.conversation)
            self.conversation.end()
