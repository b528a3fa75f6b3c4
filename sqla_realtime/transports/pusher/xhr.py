"""XHR streaming and polling of Pusher's clients, for where no WebSocket gets through: ``/pusher/app/{key}/{session}/...``.

Lines begin with a letter: ``o`` the session is open, ``a`` messages, ``h`` nothing, ``c`` it is closed. What the client says
comes in requests of its own. A session is in the process that has opened it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from tornado.iostream import StreamClosedError

from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.pusher import Desk, Desks
from sqla_realtime.hub.pusher_conversation import PusherConversation
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import Closing, ErrorCode
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.protocol.pusher_messages import texts
from sqla_realtime.transports.gated import BodyHandler
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pusher.box import Box
from sqla_realtime.transports.pusher.socket import called

# After so many characters the client begins another request by itself. What is sent beyond would be lost.
MOST = 256 * 1024


class Sessions:
    """The sessions of one server, by what their clients call them. Loop thread only."""

    def __init__(self, lobby: Lobby, desks: Desks) -> None:
        self.lobby = lobby
        self.desks = desks
        self._known: dict[str, PusherConversation] = {}

    def find(self, session: str) -> PusherConversation | None:
        """The conversation in a session."""
        return self._known.get(session)

    def open(self, session: str, desk: Desk, handler: XhrHandler) -> PusherConversation:
        """A session begins."""
        box = Box(self.desks.codec, self.lobby)
        handshake = self.lobby.handshake(handler.named(), handler.request.remote_ip or "")
        conversation = PusherConversation(self.lobby.house, box, handshake, desk)

        def over() -> None:
            if self._known.pop(session, None) is not None:
                self.lobby.leave(conversation)
                conversation.end()

        box.over = over
        self._known[session] = conversation
        self.lobby.enter(conversation, None)
        conversation.begin()
        return conversation


class XhrHandler(BodyHandler):
    """A request that brings messages to the client. ``streaming``: one after the other, until the client has had enough."""

    streaming = False

    def initialize(self, sessions: Sessions) -> None:  # type: ignore[override]
        super().initialize(sessions.lobby)
        self._sessions = sessions
        self._box: Box | None = None
        self._left = asyncio.Event()

    async def post(self, key: str, session: str) -> None:
        """Open the session, where it is new, and wait for messages."""
        desk = called(self._sessions.desks, key, self.get_query_argument("protocol", ""))
        self.set_header("Content-Type", "application/javascript; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        if isinstance(desk, PusherCode):
            self.finish(closed(desk))
            return
        conversation = self._sessions.find(f"{key}/{session}")
        if conversation is None:
            try:
                await self.line_up()
            except Refused as refused:
                self.refuse(refused)
                return
            if self._gone:
                return
            conversation = self._sessions.open(f"{key}/{session}", desk, self)
            self.write("o\n")
        assert isinstance(conversation.connection, Box)  # noqa: S101 - what Sessions makes
        self._box = conversation.connection
        with suppress(StreamClosedError):
            if self.streaming:
                await self.flush()
            await self._carry(self._box)

    async def _carry(self, box: Box) -> None:
        sent = 0
        while sent <= MOST:
            messages = await box.take(None if self.streaming else self._lobby.settings.poll_wait)
            if messages is None:
                break
            line = f"a{json.dumps(messages)}\n" if messages else "h\n"
            sent += len(line)
            self.write(line)
            if not self.streaming:
                break
            await self.flush()
        else:
            # From here on its client comes for the rest with another request, and leaves this one.
            self._box = None
            box.pause()
            await self._left.wait()
            return
        self._box = None
        if box.close_code is not None:
            self.write(closed(box.codec.closes(box.close_code)))
        self.finish()
        if messages is not None or box.close_code is not None:
            box.pause()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._left.set()
        if self._box is not None:
            # What was on its way is lost; its library does not come back to a session that was cut.
            self._box.end()


class XhrStreamingHandler(XhrHandler):
    """The same without an end."""

    streaming = True


class XhrSendHandler(BodyHandler):
    """What a client says."""

    def initialize(self, sessions: Sessions) -> None:  # type: ignore[override]
        super().initialize(sessions.lobby)
        self._sessions = sessions

    def post(self, key: str, session: str) -> None:
        """All of it is heard, in order."""
        try:
            said = texts(self.body())
            if len(said) > self._lobby.settings.max_messages:
                raise Refused(ErrorCode.TOO_MANY_MESSAGES, f"A body may have {self._lobby.settings.max_messages} messages.")
            conversation = self._sessions.find(f"{key}/{session}")
            if conversation is None:
                raise Refused(ErrorCode.UNKNOWN_CONNECTION, "This server has no such session.")
        except BadMessage as bad:
            self.refuse(Refused(bad.code, bad.message))
        except Refused as refused:
            self.refuse(refused)
        else:
            for text in said:
                conversation.receive(text)
            self.set_status(204)


def closed(code: Closing) -> str:
    """The line that ends a session."""
    return f"c{json.dumps([int(code), code.reason])}\n"
