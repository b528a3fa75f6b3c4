"""One running server on one loop: hub, feed, snapshots, routes, and the clock that keeps connections honest."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from tornado.web import Application as Routes

from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Commit, Event, Order, Position
from sqla_realtime.hub.company import Company
from sqla_realtime.hub.feed import Feed
from sqla_realtime.hub.gathering import Gathering
from sqla_realtime.hub.house import House
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.pace import Rate
from sqla_realtime.hub.presence import Presence
from sqla_realtime.hub.pusher import Desks
from sqla_realtime.hub.snapshots import Reads, Snapshots
from sqla_realtime.protocol.codes import SUBPROTOCOL, CloseCode
from sqla_realtime.protocol.messages import Ping
from sqla_realtime.protocol.pusher import Pusher
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.schema.aliases import Aliases
from sqla_realtime.schema.registry import Registry
from sqla_realtime.server.archive import DatabaseArchive
from sqla_realtime.server.doors import Application, ApplicationDoorkeeper, Workers
from sqla_realtime.server.porch import Porch
from sqla_realtime.settings import Settings
from sqla_realtime.transports.assets import AssetHandler
from sqla_realtime.transports.flusher import Flusher
from sqla_realtime.transports.handshake import Gate
from sqla_realtime.transports.juggernaut.handlers import routes as juggernaut
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.poll import PollHandler
from sqla_realtime.transports.pusher.routes import routes
from sqla_realtime.transports.pusher.webhooks import webhooks
from sqla_realtime.transports.quiet import NotFoundHandler, log_request
from sqla_realtime.transports.send import SendHandler
from sqla_realtime.transports.siblings import Siblings
from sqla_realtime.transports.sse import EventsHandler
from sqla_realtime.transports.websocket import SocketHandler

log = logging.getLogger(__name__)


class Broadcaster:
    """Made, run and closed on its loop, ``house`` and all; only ``hub.wants`` may be called from elsewhere."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        application: Application,
        broker: Broker,
        position: Position,
        *,
        siblings: Siblings | None,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._siblings = siblings
        flusher = Flusher()
        self.hub = Hub(position, settings.bounds, post=flusher.post)
        self._feed = Feed(broker, self.hub, settings.commit_patience)
        # Apart, so that snapshots of a slow database keep nobody from being identified.
        self._readers = Workers(application, settings.snapshot_threads, "realtime-snapshot")
        self._askers = Workers(application, settings.snapshot_threads, "realtime-rule")
        archive = DatabaseArchive(registry, settings, application, self._readers)
        self._company = self._gather(registry)
        self.house = house = House(
            hub=self.hub,
            snapshots=Snapshots(self.hub, self._feed, broker, archive, self._reads(settings)),
            doorkeeper=ApplicationDoorkeeper(registry, settings, application, self._askers),
            ping_interval=settings.ping_interval,
            subscriptions=settings.subscriptions,
            max_errors=settings.max_errors,
            explain=bool(settings.development),
            patience=settings.hello_timeout,
            rate=Rate(settings.message_rate, settings.message_burst, settings.max_errors),
            gathering=Gathering(self._enter, partial(Presence, realm=self._company.realm("native"))),
        )
        self.hub.obey = self._obey
        self._aliases = Aliases(registry)
        self._desks = Desks(settings.pusher, self._enter, Pusher(self._is_open, self._alias_of), self._company)
        self._webhooks = webhooks(self._desks, house.tally)
        self._lobby = Lobby(house, self._gate(settings), {SUBPROTOCOL: V1()}, settings, flusher=flusher, siblings=siblings)
        self._server = Porch(self._routes(), settings, house.tally)
        self._tasks: list[asyncio.Task[None]] = []

    def _gather(self, registry: Registry) -> Company:
        """Where there is nobody to be told of, nothing is said of anybody."""
        members = any(assembly.shown is not None for assembly in registry.assemblies().values())
        together = self._broker.shared and (members or bool(self._settings.pusher))
        return Company(self._enter if together else None, self._settings.presence_lease)

    @staticmethod
    def _gate(settings: Settings) -> Gate:
        return Gate.of(settings.allowed_origins, settings.allowed_hosts, settings.host, bool(settings.development))

    @staticmethod
    def _reads(settings: Settings) -> Reads:
        return Reads(settings.snapshot_threads, settings.snapshot_line, settings.snapshot_share, settings.snapshot_rows)

    def _obey(self, order: Order | Event | None) -> None:
        if isinstance(order, Event):
            self._hear(order)
            return
        if order is None:
            self._company.missed()
            self._desks.missed()
        if self._broker.shared:
            self.house.obey(order)

    def _hear(self, event: Event) -> None:
        """What was said may be lost; that is no reason for everybody to load rows anew."""
        try:
            if not self._company.hear(event):
                self.house.gathering.hear(event)
                self._desks.hear(event)
        except Exception:  # a mistake of ours: the feed must not end by it
            log.exception("Something that was said could not be told. [event-failed]")

    def _enter(self, *events: Event) -> Future[Any]:
        return self._broker.enter(Commit((), events=events))

    def _is_open(self, channel: str) -> bool:
        place = self.house.doorkeeper.find(channel)
        return place is not None and place.open

    def _alias_of(self, channel: str, cls: str) -> str | None:
        found = self._aliases.of(channel, cls)
        return None if found is None else found.name.removeprefix("/")

    def _routes(self) -> Routes:
        base = re.escape(self._settings.base)
        parts = {"lobby": self._lobby}
        return Routes(
            [
                *juggernaut(self._lobby, self._aliases),
                (rf"{base}/ws", SocketHandler, parts),
                (rf"{base}/sse", EventsHandler, parts),
                (rf"{base}/poll", PollHandler, parts),
                (rf"{base}/send", SendHandler, parts),
                (rf"{base}/([A-Za-z0-9_-]+\.js)", AssetHandler),
                *routes(self._lobby, self._desks),
            ],
            default_handler_class=NotFoundHandler,
            log_function=log_request,
        )

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept clients on sockets that are bound already, once what they may have missed is known. Raises LogUnreachable."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._feed.run()), loop.create_task(self._keep_time())]
        await self._feed.reached(await self._broker.head())
        self._company.open()
        if self._siblings is not None:
            await self._siblings.open(self._server.take)
        self._server.add_sockets(sockets)

    async def close(self, patience: float) -> None:
        """Tell every client when to come back, let what is queued go out, and end; within ``patience`` seconds."""
        if self._siblings is not None:
            self._siblings.close()
        self._server.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._lobby.dismiss(CloseCode.RESTARTING)
                await self._lobby.emptied()
        self._lobby.drop()
        await self._company.close()
        await self._server.close_all_connections()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._desks.close()
        self.house.gathering.end()
        for each in self._webhooks:
            each.close()
        self._readers.close()
        self._askers.close()

    def abandon(self) -> None:
        """In a forked child: hold on to no client of the parent's."""
        self._server.abandon()
        if self._siblings is not None:
            self._siblings.abandon()
        self._lobby.abandon()

    async def _keep_time(self) -> None:
        """Close whoever has not said hello in time or takes nothing, show life to whoever has heard nothing for a while."""
        interval = self._settings.ping_interval
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(interval / 4, self._settings.hello_timeout / 4))
            self.house.tally.flush()
            self.house.snapshots.sweep()
            self._tend(loop.time())

    def _tend(self, now: float) -> None:
        """Apart from what waits for the next time: whoever was looked at last would be kept until then, gone or not."""
        interval = self._settings.ping_interval
        for conversation, opened in list(self._lobby.conversations.items()):
            connection = conversation.connection
            conversation.look(now)
            if not conversation.admitted:
                if now - opened > self._settings.hello_timeout:
                    connection.close(CloseCode.HELLO_TIMEOUT)
            elif connection.pending and now - connection.sent_at > 2 * interval:
                # What was written two pings ago is not taken yet; a response, unlike a WebSocket, has no pong to miss.
                connection.abort(CloseCode.SLOW_CONSUMER)
            elif now - connection.sent_at > interval / 2:
                connection.tell(Ping(self.hub.position if connection.channels else None))
