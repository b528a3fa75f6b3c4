"""The server of one RealtimeClient: the real hub, rules and snapshots, run in the thread of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy.orm import Session

from sqla_realtime.brokers.base import Broker
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Guest, Handshake
from sqla_realtime.hub.feed import Feed
from sqla_realtime.hub.gathering import Gathering
from sqla_realtime.hub.house import House
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.presence import Presence
from sqla_realtime.hub.snapshots import Snapshots
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.realtime import Realtime
from sqla_realtime.server.archive import DatabaseArchive
from sqla_realtime.server.doors import Application, ApplicationDoorkeeper, Workers
from sqla_realtime.testing.recorder import EVERYTHING

T = TypeVar("T")


class _Prompt(Presence):
    """Whoever is gone is gone at once: no test waits for a grace."""

    def leave(self, channel: str, connection: Hashable, user: str, *, lost: bool = False) -> None:
        super().leave(channel, connection, user)


# Where the clients of one application meet, each of which has a hub of its own.
_GATHERINGS: WeakKeyDictionary[Realtime, Gathering] = WeakKeyDictionary()


class QuietHouse:
    """Everything that a broadcaster has but sockets and a clock. ``user`` is who the guest is, where it is not None.

    Snapshots are read on ``database``, where it is given, and leave its transaction as it is.
    """

    def __init__(self, realtime: Realtime, broker: Broker, user: Any, database: DatabaseConnection | None) -> None:
        application = realtime._application
        if database is not None:
            application = replace(application, session=lambda: Session(database, join_transaction_mode="rollback_only"))
        self._parts = (realtime._registry, realtime.settings, application, _Here(application))
        self._broker = broker
        self._user = user
        self._gathering = _GATHERINGS.setdefault(realtime, Gathering(presence=_Prompt))

    async def open(self, handshake: Handshake, hear: Callable[[], None]) -> Conversation:
        """Begin to follow the log, and a conversation; ``hear`` is called when there is something to drain."""
        settings = self._parts[1]
        hub = Hub(await self._broker.head(), EVERYTHING)
        self._feed = Feed(self._broker, hub)
        self._following = asyncio.get_running_loop().create_task(self._feed.run())
        house = House(
            hub=hub,
            snapshots=Snapshots(hub, self._feed, self._broker, DatabaseArchive(*self._parts)),
            doorkeeper=_Doorkeeper(*self._parts, user=self._user),
            ping_interval=settings.ping_interval,
            subscriptions=settings.subscriptions,
            max_errors=settings.max_errors,
            explain=True,
            patience=settings.hello_timeout,
            gathering=self._gathering,
        )
        connection = _Heard(V1(), settings.queue_bytes, hear)
        return Conversation(house, connection, handshake)

    async def settle(self) -> None:
        """Wait until everything that was committed until now has been dispatched."""
        await self._feed.reached(await self._broker.head())

    async def close(self) -> None:
        """Follow the log no more."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()


class _Heard(Connection):
    """A connection whose other end is a function."""

    __slots__ = ("_hear",)

    def __init__(self, codec: Codec, budget: int, hear: Callable[[], None]) -> None:
        super().__init__(codec, budget)
        self._hear = hear

    def wake(self) -> None:
        self._hear()


class _Here(Workers):
    """Runs the application's code in the thread of the test: there are its transaction, its context and its patches."""

    def __init__(self, application: Application) -> None:
        super().__init__(application, 1, "realtime-test")
        self._pool = _ThisThread(1)


class _ThisThread(ThreadPoolExecutor):
    """A pool that does at once what it is given."""

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)
        return future


class _Doorkeeper(ApplicationDoorkeeper):
    """Takes the test's word for who the user is, and asks the application where it says nothing."""

    def __init__(self, *parts: Any, user: Any) -> None:
        super().__init__(*parts)
        self._user = user

    async def identify(self, handshake: Handshake, token: str | None) -> Guest:
        if self._user is None:
            return await super().identify(handshake, token)
        name = getattr(self._user, "id", self._user)
        return Guest(self._user, id=str(name) if isinstance(name, str | int | UUID) else None)

    async def review(self, handshake: Handshake, guest: Guest) -> Guest:
        return await super().review(handshake, guest) if self._user is None else guest
