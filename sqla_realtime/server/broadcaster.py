"""One running server on one loop: hub, feed, snapshots, routes, and the clock that keeps connections honest."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from contextlib import suppress

from tornado.httpserver import HTTPServer
from tornado.web import Application as Routes

from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Position
from sqla_realtime.hub.feed import Feed
from sqla_realtime.hub.house import House
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.snapshots import Snapshots
from sqla_realtime.protocol.codes import SUBPROTOCOL, CloseCode
from sqla_realtime.protocol.messages import Ping
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.schema.registry import Registry
from sqla_realtime.server.doors import Application, ApplicationDoorkeeper, DatabaseArchive, Workers
from sqla_realtime.settings import Settings
from sqla_realtime.transports.assets import AssetHandler
from sqla_realtime.transports.handshake import Gate
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.poll import PollHandler
from sqla_realtime.transports.quiet import NotFoundHandler, log_request
from sqla_realtime.transports.send import SendHandler
from sqla_realtime.transports.sse import EventsHandler
from sqla_realtime.transports.websocket import SocketHandler

# Clients that were told to restart come back within this time, each at a moment of its own.
RESTART_SPREAD_MS = 2000


class Broadcaster:
    """Made, run and closed on its loop, ``house`` and all; only ``hub.wants`` may be called from elsewhere."""

    def __init__(
        self, registry: Registry, settings: Settings, application: Application, broker: Broker, position: Position
    ) -> None:
        self._settings = settings
        self.hub = Hub(position, settings.bounds)
        self._feed = Feed(broker, self.hub)
        # Apart, so that snapshots of a slow database keep nobody from being identified.
        self._readers = Workers(application, settings.snapshot_threads, "realtime-snapshot")
        self._askers = Workers(application, settings.snapshot_threads, "realtime-rule")
        archive = DatabaseArchive(registry, settings, application, self._readers)
        house = House(
            hub=self.hub,
            snapshots=Snapshots(self.hub, self._feed, broker, archive),
            doorkeeper=ApplicationDoorkeeper(registry, settings, application, self._askers),
            ping_interval=settings.ping_interval,
            subscriptions=settings.subscriptions,
            max_errors=settings.max_errors,
            explain=bool(settings.development),
            patience=settings.hello_timeout,
        )
        self.house = house
        gate = Gate.of(settings.allowed_origins, settings.allowed_hosts, settings.host, bool(settings.development))
        self._lobby = Lobby(house, gate, {SUBPROTOCOL: V1()}, settings)
        self._server = HTTPServer(
            self._routes(),
            idle_connection_timeout=settings.hello_timeout,
            body_timeout=settings.hello_timeout,
            max_header_size=16 * 1024,
            max_body_size=64 * 1024,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _routes(self) -> Routes:
        base = re.escape(self._settings.base)
        parts = {"lobby": self._lobby}
        return Routes(
            [
                (rf"{base}/ws", SocketHandler, parts),
                (rf"{base}/sse", EventsHandler, parts),
                (rf"{base}/poll", PollHandler, parts),
                (rf"{base}/send", SendHandler, parts),
                (rf"{base}/([A-Za-z0-9_-]+\.js)", AssetHandler),
            ],
            default_handler_class=NotFoundHandler,
            log_function=log_request,
            websocket_max_message_size=self._settings.max_message,
            websocket_ping_interval=self._settings.ping_interval,
        )

    def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept clients on sockets that are bound already."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._feed.run()), loop.create_task(self._keep_time())]
        self._server.add_sockets(sockets)

    async def close(self, patience: float) -> None:
        """Tell every client when to come back, let what is queued go out, and end; within ``patience`` seconds."""
        self._server.stop()
        self._lobby.dismiss(CloseCode.RESTARTING, RESTART_SPREAD_MS)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._lobby.emptied()
        self._lobby.drop()
        await self._server.close_all_connections()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._readers.close()
        self._askers.close()

    def abandon(self) -> None:
        """In a forked child: hold on to no client of the parent's."""
        self._lobby.abandon()

    async def _keep_time(self) -> None:
        """Close whoever has not said hello in time or takes nothing, show life to whoever has heard nothing for a while."""
        interval = self._settings.ping_interval
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(interval / 4, self._settings.hello_timeout / 4))
            now = loop.time()
            for conversation, opened in list(self._lobby.conversations.items()):
                connection = conversation.connection
                if not conversation.admitted:
                    if now - opened > self._settings.hello_timeout:
                        connection.close(CloseCode.HELLO_TIMEOUT)
                elif connection.pending and now - connection.sent_at > 2 * interval:
                    # What was written two pings ago is not taken yet; a response, unlike a WebSocket, has no pong to miss.
                    connection.abort(CloseCode.SLOW_CONSUMER)
                elif now - connection.sent_at > interval / 2:
                    connection.tell(Ping(self.hub.position if connection.channels else None))
