"""The way in of WebSockets: Tornado reads the request, the gate and the handshake decide, then a Link has the stream."""

from __future__ import annotations

from tornado.iostream import IOStream

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake, Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.transports import upgrade
from sqla_realtime.transports.gated import GatedHandler
from sqla_realtime.transports.headers import Kept
from sqla_realtime.transports.link import Link
from sqla_realtime.transports.pump import Pump


class SocketHandler(GatedHandler):
    """One handshake. A plain GET gets the reason why it would fail, which browsers keep from their pages.

    Not Tornado's WebSocketHandler, which would be kept with its request for as long as the connection lasts.
    """

    async def prepare(self) -> None:
        headers = self.named()
        try:
            if not upgrade.asks(headers):
                self.knock()
                self.look()
                self.set_header("Upgrade", "websocket")  # RFC 9110 15.5.22
                raise Refused(ErrorCode.UPGRADE_REQUIRED, "This is a WebSocket; everything else is fine.")
            self._lobby.gate.check(headers)  # browsers send Origin with every handshake (RFC 6455 10.2)
            self.set_header("Sec-WebSocket-Version", upgrade.VERSION)  # which a refusal of another tells (4.4)
            upgrade.check(self.request.method or "", self.request.version, headers)
            subprotocol = self.select(headers)
            self.count_headers()
            await self.line_up()
        except Refused as refused:
            self.refuse(refused)
        else:
            self._begin(headers, subprotocol)

    # What the dialects decide.

    def select(self, headers: dict[str, str]) -> str | None:
        """The subprotocol, None for none. Raises Refused."""
        return upgrade.select(headers, self._lobby.codecs)

    def begin(self, stream: IOStream, subprotocol: str | None, handshake: Handshake) -> None:
        """The conversation begins, on a stream to which the answer has been written."""
        pump = Pump(self._lobby.codecs[subprotocol or ""], self._lobby.settings.queue_bytes)
        Link(self._lobby, Conversation(self._lobby.house, pump, handshake), pump, stream)

    # What they share.

    def _begin(self, headers: dict[str, str], subprotocol: str | None) -> None:
        """Answer, and leave the stream to the conversation; this handler ends here."""
        self.set_status(101)
        self.application.log_request(self)
        stream = self.detach()
        if stream.closed():
            return
        stream.set_nodelay(True)
        stream.write(upgrade.answer(headers["sec-websocket-key"], subprotocol))
        self.begin(stream, subprotocol, self._lobby.handshake(Kept(headers), self.request.remote_ip or ""))
