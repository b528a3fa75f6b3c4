"""The WebSocket transport: Tornado does the handshake and the reading, the connection's queue goes out in one write a turn."""

from __future__ import annotations

import asyncio
import struct

from tornado.iostream import IOStream
from tornado.websocket import WebSocketHandler

from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.transports.gated import GatedHandler
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pump import Pump


class SocketHandler(GatedHandler, WebSocketHandler):
    """One WebSocket. A plain GET gets the reason why a handshake would fail, which browsers keep from their pages."""

    def initialize(self, lobby: Lobby) -> None:
        super().initialize(lobby)
        self._conversation: Conversation | None = None

    async def prepare(self) -> None:
        headers = self.named()
        try:
            if headers.get("upgrade", "").lower() != "websocket":
                self.knock()
                self.look()
                self.set_header("Upgrade", "websocket")  # RFC 9110 15.5.22
                raise Refused(ErrorCode.UPGRADE_REQUIRED, "This is a WebSocket; everything else is fine.")
            self._lobby.gate.check(headers)  # browsers send Origin with every handshake (RFC 6455 10.2)
            offered = {name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")}
            if offered.isdisjoint(self._lobby.codecs):
                known = ", ".join(self._lobby.codecs)
                raise Refused(ErrorCode.UNSUPPORTED_PROTOCOL, f"Offer one of these subprotocols: {known}")
            self.count_headers()
            await self.line_up()
        except Refused as refused:
            self.refuse(refused)

    def check_origin(self, origin: str) -> bool:
        return True  # prepare() has decided; Tornado does not ask for every request

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return next((name for name in subprotocols if name in self._lobby.codecs), None)

    def open(self, *args: str, **kwargs: str) -> None:
        if self.ws_connection is None or self.ws_connection.stream is None or self.selected_subprotocol is None:
            return  # the client was gone before the handshake ended
        self.set_nodelay(True)
        self._stream: IOStream = self.ws_connection.stream
        connection = Connection(self._lobby.codecs[self.selected_subprotocol], self._lobby.settings.queue_bytes)
        self._pump = Pump(connection, self._stream, self._send, self._drained)
        self._conversation = Conversation(self._lobby.house, connection, self._lobby.handshake(self.request))
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
            self._pump.stop()
            self._lobby.leave(self._conversation)
            self._conversation.end()
            self._conversation = None

    def _send(self, messages: list[bytes]) -> asyncio.Future[None]:
        return self._stream.write(b"".join(part for data in messages for part in (_header(len(data)), data)))

    def _drained(self) -> None:
        code = None if self._conversation is None else self._conversation.connection.close_code
        if code is not None:
            self.close(code, code.reason)


def _header(size: int) -> bytes:
    """The head of an unfragmented, unmasked text frame (RFC 6455 5.2)."""
    if size < 126:
        return struct.pack("!BB", 0x81, size)
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size)
    return struct.pack("!BBQ", 0x81, 127, size)
