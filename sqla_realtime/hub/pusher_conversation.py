"""A conversation in Pusher's protocol: signatures instead of a hello, channels one by one, and words between clients.

A signature says what an application thought of its user when it signed. So whatever takes a right away ends the
connections that it may be about: they come back at once with another id, for which everything has to be signed anew.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection

from sqla_realtime.commit import Event
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Guest, Handshake, Refused
from sqla_realtime.hub.house import House
from sqla_realtime.hub.pace import Bucket
from sqla_realtime.hub.pusher import Desk
from sqla_realtime.hub.pusher_admission import Admission, admit
from sqla_realtime.hub.pusher_person import Person, person_in
from sqla_realtime.hub.rights import DOUBTS, Concerned, everything
from sqla_realtime.hub.watchlists import WATCHED
from sqla_realtime.protocol import pusher, pusher_signatures
from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.protocol.messages import ClientMessage, Ping, Welcome
from sqla_realtime.protocol.pusher import Called, Pusher
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.protocol.pusher_messages import Alive, Join, Part, Say, SignIn

# How many events one client may send a second.
EVENTS = 10

# Whether an admission of this user to a channel of this name and pattern is one that may not hold any more.
Doubt = Callable[[str | None, str, str], bool]


class PusherConversation(Conversation):
    """One client of one application."""

    __slots__ = ("_asked", "_bucket", "_desk", "_doubts", "_heard", "_joined", "_lapse", "_spoken", "_user")

    def __init__(self, house: House, connection: Connection, handshake: Handshake, desk: Desk) -> None:
        super().__init__(house, connection, handshake)
        connection.id = f"{secrets.randbits(53)}.{secrets.randbits(53)}"
        self._desk = desk
        # The channels that it is in, by the names that it knows them by.
        self._joined: dict[str, Admission] = {}
        self._user: Person | None = None
        # What has come in doubt since it came: signatures from before that may be about it are worth nothing.
        self._doubts: list[Doubt] = []
        self._bucket = Bucket(EVENTS, EVENTS)
        self._spoken = connection.codec
        # Ends the connection with the first of the tokens that it was signed for.
        self._lapse: asyncio.TimerHandle | None = None
        # When it has last said anything, and whether it has been asked for a sign of life since.
        self._heard = asyncio.get_running_loop().time()
        self._asked = False

    def begin(self) -> None:
        """There is no hello: whoever is here is admitted, to nothing yet."""
        if self.connection.close_code is None:
            self.greeted = self.admitted = True
            self._rights.begin(Guest())
            self.connection.tell(Welcome(self.connection.id, self._house.ping_interval))

    def receive(self, text: str) -> None:
        self._heard, self._asked = asyncio.get_running_loop().time(), False
        super().receive(text)

    def look(self, now: float) -> None:
        """Ask whoever is silent, however much it is sent meanwhile; close whoever does not answer, which is to come back."""
        silence = (now - self._heard) / self._house.ping_interval
        if silence > 3:  # nor has it taken its goodbye
            self.connection.abort(CloseCode.SLOW_CONSUMER)
        elif silence > 2:
            self.connection.close(PusherCode.PONG_MISSING)
        elif silence > 1 and not self._asked:
            self._asked = True
            self.connection.tell(Ping())

    def doubt(self, concerned: Concerned) -> None:
        self._distrust(lambda user, name, pattern: concerned(name, pattern))
        super().doubt(concerned)

    def doubt_user(self, user: str | None) -> None:
        self._distrust(lambda owner, name, pattern: user is None or owner is None or owner == user)
        if user is None:
            super().doubt(everything)

    def _distrust(self, doubt: Doubt) -> None:
        if len(self._doubts) >= DOUBTS:
            self._doubts = [lambda user, name, pattern: True]
        self._doubts.append(doubt)
        user = self._user is not None and doubt(self._user.id, "", "")
        if user or any(_doubted(each, doubt) for each in self._joined.values()):
            self.connection.close(PusherCode.RECONNECT)

    def _expire(self, person: Person) -> bool:
        """See to it that the connection ends with what it was signed for; whether that has ended already."""
        if person.expires is None:
            return False
        left = person.expires - time.time()
        if left > 0:
            loop = asyncio.get_running_loop()
            if self._lapse is not None and self._lapse.when() > loop.time() + left:
                self._lapse.cancel()
                self._lapse = None
            self._lapse = self._lapse or loop.call_later(left, self.connection.close, PusherCode.RECONNECT)
        return left <= 0

    def end(self) -> None:
        if self._lapse is not None:
            self._lapse.cancel()
        for each in self._joined.values():
            self._desk.leave(each.name, self.connection, each.person, lost=True)
        self._joined.clear()
        if self._user is not None:
            self._desk.sign_out(self.connection, self._user)
        super().end()

    async def _handle(self, message: ClientMessage) -> None:
        match message:
            case Join():
                self._join(message)
            case Part():
                self._part(message.channel)
            case Say():
                self._say(message)
            case SignIn():
                self._sign_in(message)
            case Alive():
                pass
            case _:
                await super()._handle(message)

    def _join(self, message: Join) -> None:
        known = self._joined.get(message.channel)
        if known is not None:
            self._desk.enter(known.name, self.connection, known.person)
            return
        try:
            found = admit(self._house.doorkeeper, self._desk.app, self.connection.id, self._user, message)
            if len(self._joined) >= self._house.subscriptions:
                raise Refused(ErrorCode.TOO_MANY_SUBSCRIPTIONS, f"A connection may join {self._house.subscriptions} channels.")
            doubted = any(_doubted(found, doubt) for doubt in self._doubts)
            if found.name.signed and (doubted or self._expire(found.person)):
                self.connection.close(PusherCode.RECONNECT)
                return
            self._desk.enter(found.name, self.connection, found.person)
        except Refused as refused:
            self._house.tally.note(refused.code)
            self.connection.send(pusher.refused(message.channel, refused.message))
            return
        self._joined[message.channel] = found
        if found.rows:
            self._call()
            self._house.hub.attend(self.connection, 0, dict(found.rows))

    def _part(self, channel: str) -> None:
        found = self._joined.pop(channel, None)
        if found is None:
            return
        self._desk.leave(found.name, self.connection, found.person)
        called = self._call()
        self._house.hub.leave(self.connection, [each for each in found.rows if each not in called])

    def _call(self) -> Collection[str]:
        """Have changes of channels of ours come by the names that the client knows them by; the channels."""
        names: dict[str, list[Called]] = {}
        for each in self._joined.values():
            for channel in each.rows:
                names.setdefault(channel, []).append(Called(each.name.wire, each.alias))
        spoken = self._spoken
        assert isinstance(spoken, Pusher)  # noqa: S101 - what its transport speaks
        unusual = {each: called for each, called in names.items() if called != [Called(spoken.spelled(each))]}
        self.connection.settle()
        self.connection.codec = spoken.naming(unusual) if unusual else spoken
        return names

    def _say(self, message: Say) -> None:
        found, app = self._joined.get(message.channel), self._desk.app
        if not app.client_events or found is None or found.name.kind not in ("private", "presence"):
            self.connection.send(pusher.error(PusherCode.UNAUTHORIZED, "Clients may not send events here."))
        elif not self._bucket.take():
            self.connection.send(pusher.error(PusherCode.EVENT_REFUSED, f"A client may send {EVENTS} events a second."))
        else:
            user = found.person.id if found.name.kind == "presence" else None
            self._desk.said(Event(app.id, message.channel, message.name, message.data, user, self.connection.id))

    def _sign_in(self, message: SignIn) -> None:
        try:
            person = person_in(message.data, "id")
        except ValueError:
            person = Person()
        app, text = self._desk.app, pusher_signatures.user(self.connection.id, message.data)
        vouched = pusher_signatures.vouched(app.key, app.secret, text, message.auth)
        if not vouched or person.id is None or (self._user is not None and self._user.id != person.id):
            self._house.tally.note(ErrorCode.FORBIDDEN)
            self.connection.close(PusherCode.UNAUTHORIZED)
        elif any(doubt(person.id, "", "") for doubt in self._doubts) or self._expire(person):
            self.connection.close(PusherCode.RECONNECT)
        else:
            self._user = person
            self.connection.send(pusher.event("pusher:signin_success", {"user_data": message.data}))
            if not self._desk.sign_in(self.connection, person):
                self.connection.send(pusher.error(PusherCode.TOO_MANY_WATCHED, f"A client may watch {WATCHED} users."))


def _doubted(admission: Admission, doubt: Doubt) -> bool:
    """Whether one that takes a signature may not hold any more."""
    about = admission.channels.items() if admission.name.signed else ()
    return any(doubt(admission.person.id, channel, pattern) for channel, pattern in about)
