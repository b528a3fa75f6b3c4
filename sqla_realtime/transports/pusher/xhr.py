"""XHR streaming and polling of Pusher's clients, for where no WebSocket gets through: ``/pusher/app/{key}/{session}/...``.

Lines begin with a letter: ``o`` the session is open, ``a`` messages, ``h`` nothing, ``c`` it is closed. What the client says
comes in requests of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress

from tornado.iostream import StreamClosedError

from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.pusher import Desk, Desks
from sqla_realtime.hub.pusher_conversation import PusherConversation
from sqla_realtime.protocol.codes import Closing, ErrorCode
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.protocol.pusher_messages import texts
from sqla_realtime.transports.mailbox import Mailbox
from sqla_realtime.transports.pusher.socket import called
from sqla_realtime.transports.sessions import SessionHandler, Sessions

# After so many characters the client begins another request by itself. What is sent beyond would be lost.
MOST = 256 * 1024
# How long it may take to leave a stream that has brought so much, in seconds.
LEAVING = 10.0


class _PusherHandler(SessionHandler):
    """A request of a session, by which whoever knows it could read and speak: it stays out of the log."""

    @property
    def place(self) -> str:
        return re.sub("/[^/]+/[^/]+(?=/[^/]+$)", "", self.request.path)


class XhrHandler(_PusherHandler):
    """A request that brings messages to the client. ``streaming``: one after the other, until the client has had enough."""

    streaming = False

    def initialize(self, sessions: Sessions, desks: Desks) -> None:  # type: ignore[override]
        super().initialize(sessions)
        self._desks = desks
        self._left = asyncio.Event()

    async def post(self, key: str, session: str) -> None:
        """Open the session, where it is new, and wait for messages."""
        desk = called(self._desks, key, self.get_query_argument("protocol", ""))
        self.set_header("Content-Type", "application/javascript; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        if isinstance(desk, PusherCode):
            self.finish(closed(desk))
            return
        name = f"{key}/{session}"
        try:
            box = await self.find(name)
            if box is None:
                await self.line_up()
                box = await self.find(name)
        except Refused as refused:
            self.refuse(refused)
            return
        if self._gone:
            return
        if box is None:
            box = self._open(name, desk)
            self.write("o\n")
        with suppress(StreamClosedError):
            if self.streaming:
                await self.flush()
            await self._carry(box)

    def _open(self, name: str, desk: Desk) -> Mailbox:
        box = Mailbox(self._desks.codec, self._lobby.settings.queue_bytes)
        handshake = self._lobby.handshake(self.named(), self.request.remote_ip or "")
        conversation = PusherConversation(self._lobby.house, box, handshake, desk)
        self._sessions.open(name, conversation, box)
        conversation.begin()
        return box

    async def _carry(self, box: Mailbox) -> None:
        sent = 0
        while sent <= MOST:
            messages = await self.take(box, None if self.streaming else self._lobby.patience)
            if messages is None:
                break
            line = f"a{json.dumps([each.decode() for each in messages])}\n" if messages else "h\n"
            sent += len(line)
            self.write(line)
            if not self.streaming:
                break
            await self.flush()
        else:
            # From here on its client comes for the rest with another request, and leaves this one.
            box.pause(self)
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVING):
                    await self._left.wait()
            return
        if box.close_code is not None:
            self.write(closed(box.codec.closes(box.close_code)))
        box.pause(self)
        self.finish()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._left.set()


class XhrStreamingHandler(XhrHandler):
    """The same without an end."""

    streaming = True


class XhrSendHandler(_PusherHandler):
    """What a client says."""

    def packets(self, body: str) -> list[str]:
        return texts(body)

    async def post(self, key: str, session: str) -> None:
        """All of it is heard, in order."""
        try:
            said = self.posted()
            box = await self.find(f"{key}/{session}")
            if box is None:
                raise Refused(ErrorCode.UNKNOWN_CONNECTION, "There is no such session.")
        except Refused as refused:
            self.refuse(refused)
        else:
            for text in said:
                box.receive(text)
            self.set_status(204)


def closed(code: Closing) -> str:
    """The line that ends a session."""
    return f"c{json.dumps([int(code), code.reason])}\n"
