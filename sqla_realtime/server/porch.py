"""Tornado's HTTP server with a bound: of sockets that are no WebSocket (yet) there are so many, more are closed at once."""

from __future__ import annotations

from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application

from sqla_realtime.hub.tally import Tally
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.settings import Settings
from sqla_realtime.transports.handover import Handed

# Of a request that is not for a conversation. The others keep max_body by themselves.
BODY = 64 * 1024


class Porch(HTTPServer):
    """A socket that sends nothing costs a descriptor until the time for its request is over. There is nothing to tell it:
    it has not asked yet."""

    def initialize(self, routes: Application, settings: Settings, tally: Tally) -> None:  # type: ignore[override]
        # Tornado calls it with what the class is made with, which is each server's own.
        super().initialize(
            routes,
            idle_connection_timeout=settings.hello_timeout,
            body_timeout=settings.hello_timeout,
            max_header_size=settings.max_header,
            max_body_size=BODY,
        )
        # Those who converse over HTTP, those who wait for their turn, and as many who have not asked for anything yet.
        self._room = settings.connections + settings.handshake_line + settings.unadmitted
        self._tally = tally
        self._streams: set[IOStream] = set()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if len(self._streams) >= self._room:
            self._tally.note(ErrorCode.TOO_BUSY)
            stream.close()
            return
        self._streams.add(stream)
        super().handle_stream(stream, address)

    def take(self, handed: Handed) -> None:
        """Go on with a request that a sibling has handed over, and with its connection."""
        try:
            self.handle_stream(handed, handed.socket.getpeername())
        except OSError:
            handed.close()  # its client has left on the way

    def on_close(self, server_conn: object) -> None:
        assert isinstance(server_conn, HTTP1ServerConnection)  # noqa: S101 - what handle_stream makes
        self._streams.discard(server_conn.stream)
        super().on_close(server_conn)

    def abandon(self) -> None:
        """In a forked child: let go of the parent's sockets, whose other ends would not notice that the parent closes them."""
        for stream in self._streams:
            stream.socket.close()
