"""The WebSocket of Pusher's clients, ``/app/{key}``: it has no subprotocol, and whoever is refused is told by a close code."""

from __future__ import annotations

from tornado.iostream import IOStream

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.hub.pusher import Desk, Desks
from sqla_realtime.hub.pusher_conversation import PusherConversation
from sqla_realtime.protocol.pusher import VERSION
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.transports.link import Link
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pump import Pump
from sqla_realtime.transports.websocket import SocketHandler


class PusherSocketHandler(SocketHandler):
    """One handshake."""

    def initialize(self, lobby: Lobby, desks: Desks) -> None:  # type: ignore[override]
        super().initialize(lobby)
        self._desks = desks

    def select(self, headers: dict[str, str]) -> str | None:
        return None

    def begin(self, stream: IOStream, subprotocol: str | None, handshake: Handshake) -> None:
        pump = Pump(self._desks.codec, self._lobby.settings.queue_bytes)
        # Not by what raises: from here on nobody else closes the stream.
        [protocol] = self.request.query_arguments.get("protocol", [b""])[-1:]
        found = called(self._desks, self.path_kwargs["key"], protocol.decode("utf-8", "replace"))
        if isinstance(found, PusherCode):
            Link(self._lobby, Conversation(self._lobby.house, pump, handshake), pump, stream)
            pump.close(found)
        else:
            conversation = PusherConversation(self._lobby.house, pump, handshake, found)
            Link(self._lobby, conversation, pump, stream)
            conversation.begin()


def called(desks: Desks, key: str, protocol: str) -> Desk | PusherCode:
    """The desk that a client has come to, or why it is told to go."""
    desk = desks.of_key(key)
    if desk is None:
        return PusherCode.UNKNOWN_APP
    if not protocol:
        return PusherCode.NO_PROTOCOL
    if not (protocol.isascii() and protocol.isdigit()):
        return PusherCode.BAD_VERSION
    return desk if protocol == VERSION else PusherCode.UNSUPPORTED_PROTOCOL
