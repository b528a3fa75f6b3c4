"""A conversation in Pusher's protocol: signatures instead of a hello, channels one by one, and words between clients.

A signature says what an application thought of its user when it signed. So whatever takes a right away ends the
connections that it may be about: they come back at once with another id, for which everything has to be signed anew.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from sqla_realtime.commit import Event
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Guest, Handshake, Refused
from sqla_realtime.hub.house import House
from sqla_realtime.hub.pace import Bucket
from sqla_realtime.hub.pusher import Desk
from sqla_realtime.hub.pusher_person import Person, person_in
from sqla_realtime.hub.rights import DOUBTS, Concerned, everything
from sqla_realtime.hub.watchlists import WATCHED
from sqla_realtime.protocol import pusher, pusher_signatures
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import ClientMessage, Welcome
from sqla_realtime.protocol.pusher import Pusher
from sqla_realtime.protocol.pusher_codes import PusherCode
from sqla_realtime.protocol.pusher_messages import Alive, Join, Part, Say, SignIn
from sqla_realtime.protocol.pusher_names import Name, parse

# How many events one client may send a second.
EVENTS = 10
# What may be told of a member of a presence channel, in characters.
MEMBER = 2048

# Whether an admission of this user to a channel of this name and pattern is one that may not hold any more.
Doubt = Callable[[str | None, str, str], bool]


class PusherConversation(Conversation):
    """One client of one application."""

    __slots__ = ("_bucket", "_desk", "_doubts", "_joined", "_lapse", "_spoken", "_user")

    def __init__(self, house: House, connection: Connection, handshake: Handshake, desk: Desk) -> None:
        super().__init__(house, connection, handshake)
        connection.id = f"{secrets.randbits(53)}.{secrets.randbits(53)}"
        self._desk = desk
        # The channels that it is in, by the names that it knows them by; what it was signed for, and their patterns.
        self._joined: dict[str, tuple[Name, Person, str]] = {}
        self._user: Person | None = None
        # What has come in doubt since it came: signatures from before that may be about it are worth nothing.
        self._doubts: list[Doubt] = []
        self._bucket = Bucket(EVENTS, EVENTS)
        self._spoken = connection.codec
        # Ends the connection with the first of the tokens that it was signed for.
        self._lapse: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """There is no hello: whoever is here is admitted, to nothing yet."""
        if self.connection.close_code is None:
            self.greeted = self.admitted = True
            self._rights.begin(Guest())
            self.connection.tell(Welcome(self.connection.id, self._house.ping_interval))

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
        held = [(person.id, name.channel, pattern) for name, person, pattern in self._joined.values() if name.signed]
        if self._user is not None:
            held.append((self._user.id, "", ""))
        if any(doubt(*admission) for admission in held):
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
        for name, person, _ in self._joined.values():
            self._desk.leave(name, self.connection, person, lost=True)
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
        if message.channel in self._joined:
            name, person, _ = self._joined[message.channel]
            self._desk.enter(name, self.connection, person)
            return
        try:
            name, person, pattern, rows = self._admitted(message)
            if len(self._joined) >= self._house.subscriptions:
                raise Refused(ErrorCode.TOO_MANY_SUBSCRIPTIONS, f"A connection may join {self._house.subscriptions} channels.")
            doubted = any(doubt(person.id, name.channel, pattern) for doubt in self._doubts)
            if name.signed and (doubted or self._expire(person)):
                self.connection.close(PusherCode.RECONNECT)
                return
            self._desk.enter(name, self.connection, person)
        except Refused as refused:
            self._house.tally.note(refused.code)
            self.connection.send(pusher.refused(message.channel, refused.message))
            return
        self._joined[message.channel] = name, person, pattern
        if rows:
            self._call(name.channel)
            self._house.hub.attend(self.connection, 0, {name.channel: pattern})

    def _admitted(self, message: Join) -> tuple[Name, Person, str, bool]:
        """What a client asks for, on whose account, the pattern, and whether there are rows. Raises Refused, always alike."""
        refusal = Refused(ErrorCode.FORBIDDEN, "There is no such channel, or it is not for you.")
        name = parse(message.channel)
        if name is None:
            raise refusal
        if name.kind == "user":
            if self._user is None or self._user.id != name.channel:
                raise refusal
            return name, self._user, "", False
        place = self._house.doorkeeper.find(name.channel)
        if not name.signed:
            if place is None or not place.open:
                raise refusal
            return name, Person(), place.pattern, place.rows
        if place is not None and not place.ruled:
            raise refusal
        text = pusher_signatures.admission(self.connection.id, message.channel, message.data)
        if not self._vouched(text, message.auth):
            raise refusal
        try:
            data = message.data or ""
            person = person_in(data if name.kind != "presence" or len(data) <= MEMBER else "", "user_id")
        except ValueError:
            if name.kind == "presence":
                raise refusal from None
            person = Person()
        # What is sent in an encrypted channel its application has encrypted; we cannot.
        rows = place is not None and place.rows and name.kind != "encrypted"
        return name, person, "" if place is None else place.pattern, rows

    def _vouched(self, text: str, auth: str) -> bool:
        app = self._desk.app
        return pusher_signatures.vouched(app.key, app.secret, text, auth)

    def _part(self, channel: str) -> None:
        found = self._joined.pop(channel, None)
        if found is None:
            return
        name, person, _ = found
        self._desk.leave(name, self.connection, person)
        if not self._call(name.channel):
            self._house.hub.leave(self.connection, [name.channel])

    def _call(self, channel: str) -> bool:
        """Have changes of a channel of ours come by the names that the client knows it by; whether there is any."""
        names: dict[str, list[str]] = {}
        for name, _, pattern in self._joined.values():
            if pattern and name.kind not in ("encrypted", "user"):
                names.setdefault(name.channel, []).append(name.wire)
        spoken = self._spoken
        assert isinstance(spoken, Pusher)  # noqa: S101 - what its transport speaks
        unusual = {each: called for each, called in names.items() if called != [spoken.spelled(each)]}
        self.connection.settle()
        self.connection.codec = spoken.naming(unusual) if unusual else spoken
        return channel in names

    def _say(self, message: Say) -> None:
        found, app = self._joined.get(message.channel), self._desk.app
        if not app.client_events or found is None or found[0].kind not in ("private", "presence"):
            self.connection.send(pusher.error(PusherCode.UNAUTHORIZED, "Clients may not send events here."))
        elif not self._bucket.take():
            self.connection.send(pusher.error(PusherCode.EVENT_REFUSED, f"A client may send {EVENTS} events a second."))
        else:
            user = found[1].id if found[0].kind == "presence" else None
            self._desk.said(Event(app.id, message.channel, message.name, message.data, user, self.connection.id))

    def _sign_in(self, message: SignIn) -> None:
        try:
            person = person_in(message.data, "id")
        except ValueError:
            person = Person()
        vouched = self._vouched(pusher_signatures.user(self.connection.id, message.data), message.auth)
        if not vouched or person.id is None or (self._user is not None and self._user.id != person.id):
            self._house.tally.note(ErrorCode.FORBIDDEN)
            self.connection.send(pusher.error(PusherCode.UNAUTHORIZED, "The signature does not hold."))
            self.connection.close(PusherCode.UNAUTHORIZED)
        elif any(doubt(person.id, "", "") for doubt in self._doubts) or self._expire(person):
            self.connection.close(PusherCode.RECONNECT)
        else:
            self._user = person
            self.connection.send(pusher.event("pusher:signin_success", {"user_data": message.data}))
            if not self._desk.sign_in(self.connection, person):
                self.connection.send(pusher.error(PusherCode.TOO_MANY_WATCHED, f"A client may watch {WATCHED} users."))
