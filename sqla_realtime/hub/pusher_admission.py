"""Who may be in a channel of Pusher's protocol, and what of ours that channel is: decided by a rule, and where it takes one a
signature; whatever is not to be had is refused alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqla_realtime.hub.doors import Doorkeeper, Place, Refused
from sqla_realtime.hub.pusher import App
from sqla_realtime.hub.pusher_person import Person, person_in
from sqla_realtime.protocol import pusher_signatures
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.pusher_messages import Join
from sqla_realtime.protocol.pusher_names import Name, parse

# What may be told of a member of a presence channel, in characters.
MEMBER = 2048


class Admission(NamedTuple):
    """A channel that a client is in by a name, on somebody's account. ``channels`` are ours that it stands for, with their
    patterns, and ``rows`` those of them whose changes come by this name: where that is their ``alias``, which is told without
    the slash that it may begin with, no others than the changes of publications with that alias."""

    name: Name
    person: Person
    channels: Mapping[str, str]
    rows: Mapping[str, str]
    alias: str | None = None


def admit(doorkeeper: Doorkeeper, app: App, socket: str, user: Person | None, message: Join) -> Admission:
    """What a client of a connection, which has signed in as a user, asks for. Raises Refused."""
    refusal = Refused(ErrorCode.FORBIDDEN, "There is no such channel, or it is not for you.")
    name = parse(message.channel)
    if name is None:
        raise refusal
    if name.kind == "user":
        if user is None or user.id != name.channel:
            raise refusal
        return Admission(name, user, {}, {})
    meant = doorkeeper.meant(name.channel)
    places = {channel: doorkeeper.find(channel) for channel in meant}
    person = Person()
    if not name.signed:
        if not all(place is not None and place.open for place in places.values()):
            raise refusal
    elif any(place is not None and not place.ruled for place in places.values()) or not _vouched(app, socket, message):
        raise refusal
    else:
        try:
            data = message.data or ""
            person = person_in(data if name.kind != "presence" or len(data) <= MEMBER else "", "user_id")
        except ValueError:
            if name.kind == "presence":
                raise refusal from None
    # What is sent in an encrypted channel its application has encrypted; we cannot.
    rows = {} if name.kind == "encrypted" else {channel: place for channel, place in places.items() if place and place.rows}
    alias = None if name.channel in places else name.channel.removeprefix("/")
    return Admission(name, person, _patterns(places), _patterns(rows), alias)


def _vouched(app: App, socket: str, message: Join) -> bool:
    text = pusher_signatures.admission(socket, message.channel, message.data)
    return pusher_signatures.vouched(app.key, app.secret, text, message.auth)


def _patterns(places: Mapping[str, Place | None]) -> dict[str, str]:
    return {channel: "" if place is None else place.pattern for channel, place in places.items()}
