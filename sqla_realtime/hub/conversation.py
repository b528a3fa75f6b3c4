"""The server's side of one connection's conversation: each message in turn, each answered, none able to harm another client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass

from sqla_realtime.commit import Position
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Doorkeeper, Guest, Handshake, Refused
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.snapshots import Snapshots
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.protocol.messages import (
    ClientMessage,
    Error,
    Hello,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)

log = logging.getLogger(__name__)

# Messages of one client that may wait for their turn; a client that sends faster than it can be answered is closed.
INBOX = 256


@dataclass(frozen=True, slots=True)
class House:
    """What the conversations of one server share."""

    hub: Hub
    snapshots: Snapshots
    doorkeeper: Doorkeeper
    ping_interval: float
    subscriptions: int
    max_errors: int
    explain: bool


class Conversation:
    """One client. Loop thread only. Messages are handled one after the other, in the order in which they came."""

    __slots__ = (
        "__weakref__",
        "_errors",
        "_expiry",
        "_house",
        "_inbox",
        "_task",
        "admitted",
        "connection",
        "handshake",
    )

    def __init__(self, house: House, connection: Connection, handshake: Handshake) -> None:
        self._house = house
        self.connection = connection
        self.handshake = handshake
        self.admitted = False
        self._errors = 0
        self._inbox: deque[ClientMessage] = deque()
        self._task: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def receive(self, text: str) -> None:
        """Take one message; never raises, never waits."""
        if self.connection.close_code is not None:
            return
        try:
            message = self.connection.codec.decode(text)
        except BadMessage as bad:
            self.blunder(bad.code, bad.message)
            return
        self.take(message)

    def take(self, message: ClientMessage) -> None:
        """Take one message that is read already; never raises, never waits."""
        if self.connection.close_code is not None:
            return
        self._inbox.append(message)
        if len(self._inbox) > INBOX:
            self.connection.close(CloseCode.BAD_MESSAGES)
        elif self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    @property
    def settled(self) -> bool:
        """Whether everything that the client has asked for so far is answered."""
        return self._task is None and self._house.hub.joined(self.connection) == self.connection.channels

    def blunder(self, code: str, message: str) -> None:
        """Answer a message that makes no sense; a client that keeps sending such is closed."""
        self._errors += 1
        self.connection.tell(Error(code, message))
        if self._errors >= self._house.max_errors:
            self.connection.close(CloseCode.BAD_MESSAGES)

    def end(self) -> None:
        """The client is gone."""
        self._inbox.clear()
        self.connection.abort(CloseCode.RESTARTING)
        if self._expiry is not None:
            self._expiry.cancel()
        self._house.hub.close(self.connection)

    async def _work(self) -> None:
        try:
            while self._inbox and self.connection.close_code is None:
                await self._handle(self._inbox.popleft())
        except Exception:
            log.exception("A message could not be handled. [message-failed]")
            self.connection.close(CloseCode.RESTARTING)
        finally:
            self._task = None

    async def _handle(self, message: ClientMessage) -> None:
        match message:
            case Hello() if self.admitted:
                self.blunder(ErrorCode.HELLO_TWICE, "this connection is already admitted")
            case Hello():
                await self._hello(message)
            case Ping():
                self.connection.tell(Pong())
            case _ if not self.admitted:
                self.blunder(ErrorCode.HELLO_REQUIRED, "the first message must be hello")
            case Subscribe():
                await self._subscribe(message)
            case Unsubscribe():
                self._house.hub.leave(self.connection, message.channels)
                self.connection.tell(Unsubscribed(message.id, message.channels))

    async def _hello(self, hello: Hello) -> None:
        try:
            guest = await self._house.doorkeeper.identify(self.handshake, hello.token)
        except Refused as refused:
            self._errors += 1
            self._refuse(refused)
            if self._errors >= self._house.max_errors:
                self.connection.close(CloseCode.BAD_MESSAGES)
            return
        if self.connection.close_code is not None:
            return  # it has left meanwhile
        self.admitted = True
        self.connection.user = guest.user
        self.connection.id = hello.connection or self.connection.id
        self._limit(guest)
        self.connection.tell(Welcome(self.connection.id, self._house.ping_interval))

    def _limit(self, guest: Guest) -> None:
        """A connection lives no longer than the token that opened it."""
        if guest.expires is not None:
            left = max(0.0, guest.expires - time.time())
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(left, self.connection.close, CloseCode.TOKEN_EXPIRED)

    async def _subscribe(self, message: Subscribe) -> None:
        hub, connection = self._house.hub, self.connection
        admitted: dict[str, str] = {}
        joined = hub.joined(connection)
        for name in message.channels:
            if name not in joined and len(joined | admitted.keys()) >= self._house.subscriptions:
                self._refuse(_too_many(self._house.subscriptions), name, message.id)
                continue
            try:
                admitted[name] = await self._house.doorkeeper.admit(connection.user, name)
            except Refused as refused:
                hub.leave(connection, [name])
                joined.discard(name)
                self._refuse(refused, name, message.id)
            if connection.close_code is not None:
                return  # it has left meanwhile
        after = Position.parse(message.after) if message.after is not None else None
        unresumed = list(admitted) if after is None else hub.resume(connection, message.id, admitted, after)
        for name in unresumed:
            flight = hub.board(connection, message.id, name, admitted[name])
            if flight is not None:
                self._house.snapshots.start(flight)

    def _refuse(self, refused: Refused, channel: str | None = None, number: int | None = None) -> None:
        fix = refused.fix if self._house.explain else None
        self.connection.tell(Error(refused.code, refused.message, fix, channel, number))


def _too_many(most: int) -> Refused:
    return Refused(
        ErrorCode.TOO_MANY_SUBSCRIPTIONS,
        f"A connection may join {most} channels.",
        "Unsubscribe from something, or raise REALTIME_SUBSCRIPTIONS.",
    )
