"""The WebSocket transport: Tornado does the handshake and the reading, the connection's queue goes out in one write a turn."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Any

from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketHandler

from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake, Refused
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Error
from sqla_realtime.transports.handshake import Gate, origin_of
from sqla_realtime.transports.quiet import QuietHandler


@dataclass(slots=True)
class Lobby:
    """What the handlers of one server share; ``conversations`` are those under way, ``streams`` what carries them."""

    house: House
    gate: Gate
    codecs: dict[str, Codec]
    queue_bytes: int
    conversations: dict[Conversation, float] = field(default_factory=dict)
    streams: dict[Conversation, IOStream] = field(default_factory=dict)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, conversation: Conversation, stream: IOStream) -> None:
        """A conversation begins."""
        self.conversations[conversation] = asyncio.get_running_loop().time()
        self.streams[conversation] = stream

    def leave(self, conversation: Conversation) -> None:
        """A conversation has ended."""
        self.conversations.pop(conversation, None)
        self.streams.pop(conversation, None)
        self.left.set()

    async def emptied(self) -> None:
        """Wait until the last conversation has ended."""
        while self.conversations:
            self.left.clear()
            await self.left.wait()

    def drop(self) -> None:
        """Cut whoever has not closed in time, or does not read what would tell it to."""
        for stream in list(self.streams.values()):
            stream.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's clients. The loop, which the parent still uses, must not notice."""
        for stream in self.streams.values():
            stream.socket.close()


class SocketHandler(QuietHandler, WebSocketHandler):
    """One WebSocket. A plain GET gets the reason why a handshake would fail, which browsers keep from their pages."""

    def initialize(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._conversation: Conversation | None = None
        self._writing = 0
        self._scheduled = False

    def prepare(self) -> None:
        headers = self._named()
        upgrade = headers.get("upgrade", "").lower() == "websocket"
        if not upgrade and "origin" not in headers and "referer" in headers:
            # A page that asks why it may not come in: a browser names the origin of a plain GET only across origins.
            headers["origin"] = origin_of(headers["referer"])
        try:
            self._lobby.gate.check(headers)
            if not upgrade:
                raise Refused(ErrorCode.UPGRADE_REQUIRED, "This is a WebSocket; everything else is fine.")
            offered = {name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")}
            if offered.isdisjoint(self._lobby.codecs):
                known = ", ".join(self._lobby.codecs)
                raise Refused(ErrorCode.UNSUPPORTED_PROTOCOL, f"Offer one of these subprotocols: {known}")
        except Refused as refused:
            self._refuse(refused)

    def _named(self) -> dict[str, str]:
        """By lower-case name. One that was sent twice is its values joined by commas: two Origins are no origin."""
        return {name.lower(): value for name, value in self.request.headers.items()}

    def _refuse(self, refused: Refused) -> None:
        status = {ErrorCode.UPGRADE_REQUIRED: 426, ErrorCode.UNSUPPORTED_PROTOCOL: 400}.get(ErrorCode(refused.code), 403)
        fix = refused.fix if self._lobby.house.explain else None
        codec = next(iter(self._lobby.codecs.values()))
        self.set_status(status)
        if status == 426:
            self.set_header("Upgrade", "websocket")  # RFC 9110 15.5.22
        # Readable from everywhere: it tells a page no more than that it may not come in.
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(codec.encode(Error(refused.code, refused.message, fix)))

    def check_origin(self, origin: str) -> bool:
        return True  # prepare() has decided; Tornado does not ask for every request

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return next((name for name in subprotocols if name in self._lobby.codecs), None)

    def open(self, *args: str, **kwargs: str) -> None:
        if self.ws_connection is None or self.ws_connection.stream is None or self.selected_subprotocol is None:
            return  # the client was gone before the handshake ended
        self.set_nodelay(True)
        self._stream: IOStream = self.ws_connection.stream
        connection = Connection(self._lobby.codecs[self.selected_subprotocol], self._lobby.queue_bytes)
        connection.wake = self._wake
        handshake = Handshake(self._named(), self.request.remote_ip or "")
        self._conversation = Conversation(self._lobby.house, connection, handshake)
        self._lobby.enter(self._conversation, self._stream)

    def on_message(self, message: str | bytes) -> None:
        if self._conversation is None:
            return
        if isinstance(message, str):
            self._conversation.receive(message)
        else:
            self._conversation.blunder(ErrorCode.MALFORMED, "binary frames are not understood here")

    def on_close(self) -> None:
        if self._conversation is not None:
            self._lobby.leave(self._conversation)
            self._conversation.end()
            self._conversation = None

    def _wake(self) -> None:
        if self._conversation is None or self._scheduled:
            return
        # A write that waits for a reader who has stopped must not keep its connection from being given up.
        if not self._writing or self._conversation.connection.aborted:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Write everything that is queued in one call; what the socket does not take waits there for the next turn."""
        self._scheduled = False
        if self._conversation is None:
            return
        connection = self._conversation.connection
        if connection.aborted:
            self._stream.close()
            return
        messages = connection.drain()
        if messages:
            self._write(connection, messages)
        elif connection.close_code is not None:
            self.close(connection.close_code, connection.close_code.reason)

    def _write(self, connection: Connection, messages: list[bytes]) -> None:
        self._writing = sum(map(len, messages))
        connection.sent_at = asyncio.get_running_loop().time()
        try:
            future = self._stream.write(b"".join(part for data in messages for part in (_header(len(data)), data)))
        except StreamClosedError:
            return
        if future.done():
            self._written(future)
        else:
            future.add_done_callback(self._written)

    def _written(self, future: asyncio.Future[Any]) -> None:
        # Without an error, or with one that on_close() tells too.
        if future.exception() is None and self._conversation is not None:
            self._conversation.connection.flushed(self._writing)
            self._writing = 0
            self._wake()


def _header(size: int) -> bytes:
    """The head of an unfragmented, unmasked text frame (RFC 6455 5.2)."""
    if size < 126:
        return struct.pack("!BB", 0x81, size)
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size)
    return struct.pack("!BBQ", 0x81, 127, size)
