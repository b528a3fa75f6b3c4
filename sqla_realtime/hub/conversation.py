"""The server's side of one connection's conversation: each message in turn, each answered, none able to harm another client."""

from __future__ import annotations

import asyncio
import logging

from sqla_realtime.commit import Position
from sqla_realtime.hub.admission import admit
from sqla_realtime.hub.attendance import attend, depart, say
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Ending, Handshake, Refused
from sqla_realtime.hub.house import House
from sqla_realtime.hub.pace import Judgement, Pace
from sqla_realtime.hub.rights import Concerned, Rights, everything
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.protocol.gathering import Attend, Depart, Say
from sqla_realtime.protocol.messages import (
    ClientMessage,
    Error,
    Hello,
    Leave,
    Ping,
    Pong,
    Renew,
    Renewed,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)

log = logging.getLogger(__name__)

# Messages of one client that may wait for their turn; a client that sends faster than it can be answered is closed.
INBOX = 256


class Conversation:
    """One client. Loop thread only. Messages are handled one after the other, in the order in which they came."""

    __slots__ = (
        "__weakref__", "_errors", "_house", "_inbox", "_mark", "_pace", "_rights", "_task", "admitted", "connection",
        "greeted", "handshake",
    )  # fmt: skip

    def __init__(self, house: House, connection: Connection, handshake: Handshake) -> None:
        self._house = house
        self.connection = connection
        self.handshake = handshake
        # Whether it has said hello, and whether that was good.
        self.greeted = self.admitted = False
        self._pace = Pace(house.rate)
        self._errors = 0
        self._inbox: list[ClientMessage] = []
        self._task: asyncio.Task[None] | None = None
        self._rights = Rights(house, connection, handshake)
        # What the client had been sent when it was last answered a ping with a position.
        self._mark: Position | None = None
        house.conversations.add(self)

    def receive(self, text: str) -> None:
        """Take one message; never raises, never waits."""
        if self.connection.close_code is not None:
            return
        try:
            message = self.connection.codec.decode(text)
        except BadMessage as bad:
            self.blunder(bad.code, bad.message)
            return
        self.hear(message)

    def hear(self, message: ClientMessage) -> None:
        """The same for one that is read already. A client that sends more than it may is told, and closed if it goes on."""
        if self.connection.close_code is not None:
            return
        judgement = self._pace.judge()
        if judgement is Judgement.TAKEN:
            self.take(message)
        elif judgement is Judgement.REFUSED:
            number = getattr(message, "id", None)
            self.connection.tell(Error(ErrorCode.TOO_FAST, "Messages come too fast; this one was dropped.", id=number))
        else:
            self.connection.close(CloseCode.TOO_FAST)
            self._house.tally.note(CloseCode.TOO_FAST.reason)

    def take(self, message: ClientMessage) -> None:
        """Take one message that does not count as the client's haste; never raises, never waits."""
        if self.connection.close_code is not None:
            return
        self.greeted = self.greeted or isinstance(message, Hello)
        self._inbox.append(message)
        if len(self._inbox) > INBOX:
            self.connection.close(CloseCode.BAD_MESSAGES)
        else:
            self._wake()

    def doubt(self, concerned: Concerned) -> None:
        """Send nothing until the rules of the channels that are concerned have said again that it may be sent."""
        self._rights.doubt(concerned)
        self._wake()

    def doubt_user(self, user: str | None) -> None:
        """The same for all channels, once it is known again who a user is, or anybody; for somebody else it does nothing."""
        if user is None or self._rights.guest is None or self._rights.guest.id == user:
            self._rights.doubt(everything, stranger=True)
            self._wake()

    def _wake(self) -> None:
        if self._task is None and (self._inbox or self._rights.in_doubt):
            self._task = asyncio.get_running_loop().create_task(self._work())

    def look(self, now: float) -> None:
        """The clock goes on; dialects whose clients have to answer now and then look whether they do."""

    @property
    def settled(self) -> bool:
        """Whether everything that the client has asked for so far is answered."""
        return self._task is None and self._house.hub.joined(self.connection).keys() == self.connection.channels

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
        self._rights.close()
        self._house.hub.close(self.connection)
        self._house.gathering.close(self.connection)
        self._house.conversations.discard(self)

    async def _work(self) -> None:
        try:
            while (self._inbox or self._rights.in_doubt) and self.connection.close_code is None:
                await self._rights.review()
                if self._inbox and self.connection.close_code is None:  # it may have lost its rights meanwhile
                    await self._handle(self._inbox.pop(0))
        except Exception as error:
            if not isinstance(error, Ending):
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
                self._pong(message)
            case _ if not self.admitted:
                self.blunder(ErrorCode.HELLO_REQUIRED, "the first message must be hello")
            case Subscribe():
                await self._subscribe(message)
            case Unsubscribe():
                self._house.hub.leave(self.connection, message.channels)
                self.connection.tell(Unsubscribed(message.id, message.channels))
            case Renew():
                await self._renew(message)
            case Attend():
                await attend(self._house, self.connection, self._rights, message)
            case Depart():
                depart(self._house, self.connection, message)
            case Say():
                await say(self._house, self.connection, self._rights, message)

    def _pong(self, ping: Ping) -> None:
        """Answer; and have a client load everything anew that has not got what it was sent before the last answer."""
        connection, mark = self.connection, self._mark
        if ping.position is not None:
            idle = connection.pending == 0
            if idle and mark is not None and _behind(ping.position, mark):
                self._house.tally.note("client-behind")
                self._house.hub.reset(connection, ErrorCode.BEHIND)
                connection.told = None
            self._mark = connection.told if idle else None
        connection.tell(Pong())

    async def _hello(self, hello: Hello) -> None:
        try:
            for _ in self._rights.rounds():
                guest = await self._house.doorkeeper.identify(self.handshake, hello.token)
                if self._rights.stand({}):
                    break
        except Refused as refused:
            self._errors += 1
            self._house.refuse(self.connection, refused)
            if self._errors >= self._house.max_errors:
                self.connection.close(CloseCode.BAD_MESSAGES)
            return
        if self.connection.close_code is not None:
            return  # it has left meanwhile
        self.admitted = True
        self.connection.id = hello.connection or self.connection.id
        self._rights.begin(guest)
        self.connection.tell(Welcome(self.connection.id, self._house.ping_interval))

    async def _renew(self, message: Renew) -> None:
        try:
            await self._rights.renew(message.token)
        except Refused as refused:
            self._house.refuse(self.connection, refused, number=message.id)
        else:
            self.connection.tell(Renewed(message.id))

    async def _subscribe(self, message: Subscribe) -> None:
        hub, connection = self._house.hub, self.connection
        after = Position.parse(message.after) if message.after is not None else None
        if after is not None:
            await self._house.snapshots.reach(after)
        for _ in self._rights.rounds():
            await self._rights.review()
            attended = self._house.gathering.attended(connection)
            admitted, refused = await admit(self._house, connection, self._rights, message.channels)
            if connection.close_code is not None:
                return  # it has left meanwhile
            if self._rights.stand(admitted):
                break
        for name, refusal in refused.items():
            if name in attended:
                connection.tell(Leave((name,), refusal.code))
            self._house.refuse(connection, refusal, name, message.id)
        if not connection.codec.rows:
            hub.attend(connection, message.id, admitted)
            return
        unresumed = list(admitted) if after is None else hub.resume(connection, message.id, admitted, after)
        for name in unresumed:
            flight = hub.board(connection, message.id, name, admitted[name])
            if flight is not None:
                self._house.snapshots.start(flight)


def _behind(position: Position, mark: Position) -> bool:
    return position.epoch != mark.epoch or position.offset < mark.offset
