"""What a client may do among others: attend a channel by its rule, say there what is declared, not too much, not too fast."""

from __future__ import annotations

import asyncio

from sqla_realtime.commit import Event
from sqla_realtime.hub.admission import admit
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.gathering import NATIVE, Seat
from sqla_realtime.hub.house import House
from sqla_realtime.hub.rights import Rights
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.gathering import Attend, Depart, Departed, Say, Taken
from sqla_realtime.protocol.messages import Leave

# Characters of a member's id, bytes of what the others are shown of it, and of an event's data.
MAX_ID = 200
MAX_INFO = 2048
MAX_EVENT = 4096
# How long an event may take to be in the log, in seconds.
PATIENCE = 5.0


async def attend(house: House, connection: Connection, rights: Rights, message: Attend) -> None:
    """Answer an attend: with who is there, or with why the client may not be."""
    name = message.channel
    live = name in connection.channels
    try:
        for _ in rights.rounds():
            await rights.review()
            admitted, refused = await admit(house, connection, rights, [name])
            if connection.close_code is not None:
                return  # it has left meanwhile
            seat, refusal = Seat(""), refused.get(name)
            if refusal is None:
                seat, refusal = await _seat(house, connection, rights, name, admitted[name])
            if rights.stand(admitted):
                break
        if refusal is not None:
            raise refusal
        house.gathering.attend(connection, message.id, name, seat, message.tag)
    except Refused as refusal:
        if live and name not in house.hub.joined(connection):
            connection.tell(Leave((name,), refusal.code))
        house.refuse(connection, refusal, number=message.id)


def depart(house: House, connection: Connection, message: Depart) -> None:
    """Answer a depart. Doing so twice changes nothing."""
    house.gathering.leave(connection, [message.channel])
    connection.tell(Departed(message.id, message.channel))


async def say(house: House, connection: Connection, rights: Rights, message: Say) -> None:
    """Answer a say: the others are told, or the client why not."""
    try:
        user, data = await _checked(house, connection, rights, message)
        await _publish(house, Event(NATIVE, message.channel, message.name, data, user, connection.id))
    except Refused as refused:
        house.tally.note(refused.code)
        house.refuse(connection, refused, number=message.id)
    else:
        connection.tell(Taken(message.id))


async def _seat(house: House, connection: Connection, rights: Rights, name: str, pattern: str) -> tuple[Seat, Refused | None]:
    """What a client is in a channel: a member if it is known who it is."""
    place = house.doorkeeper.find(name)
    if place is None or not (place.members or place.events):
        fix = f'Declare it: realtime.channel("{pattern}", presence=Profile, events={{"typing": Typing}}).'
        return Seat(pattern), Refused(ErrorCode.NO_PRESENCE, "This channel has rows and nothing else.", fix)
    user = None if rights.guest is None else rights.guest.member
    if user is not None and (len(user) > MAX_ID or not _is_text(user)):
        return Seat(pattern), Refused(ErrorCode.PRESENCE_FAILED, f"The id of a member is text of {MAX_ID} characters at most.")
    if user is None or not place.members:
        return Seat(pattern, user), None
    try:
        info = await house.doorkeeper.profile(connection.user, name)
        if len(info.encode()) > MAX_INFO:
            raise Refused(ErrorCode.PRESENCE_FAILED, f"What is shown of a member has {MAX_INFO} bytes at most.")
    except Refused as refused:
        return Seat(pattern), refused
    return Seat(pattern, user, info), None


def _is_text(user: str) -> bool:
    """Whether it can be sent to anybody: a token, which is JSON, may have half of a surrogate pair."""
    try:
        user.encode()
    except UnicodeEncodeError:
        return False
    return True


async def _checked(house: House, connection: Connection, rights: Rights, message: Say) -> tuple[str, str]:
    """Who says something, and its data as it is told. Raises Refused."""
    user = _speaker(house, connection, message.channel)[0]
    if not house.gathering.may_speak(user):
        raise Refused(ErrorCode.TOO_FAST, "Events come too fast; this one was dropped.")
    _measure(message.data)
    for _ in rights.rounds():
        await rights.review()
        user, pattern = _speaker(house, connection, message.channel)
        data = await house.doorkeeper.event(message.channel, message.name, message.data)
        if rights.stand({message.channel: pattern}):
            break
    _speaker(house, connection, message.channel)
    _measure(data)
    return user, data


def _speaker(house: House, connection: Connection, channel: str) -> tuple[str, str]:
    """Who a client is in a channel where it may speak, and the channel's pattern. Raises Refused."""
    seat = house.gathering.seat(connection, channel)
    if seat is None:
        raise Refused(ErrorCode.NOT_ATTENDING, "This client does not attend that channel.", "Send attend, then say.")
    if seat.user is None:
        raise Refused(ErrorCode.NOT_A_MEMBER, "Nobody knows who this client is, so it can only listen.")
    return seat.user, seat.pattern


def _measure(data: str) -> None:
    if len(data.encode()) > MAX_EVENT:
        raise Refused(ErrorCode.EVENT_TOO_LARGE, f"An event's data has {MAX_EVENT} bytes at most.")


async def _publish(house: House, event: Event) -> None:
    """Until it is in the log, from where the others hear of it. Raises Refused."""
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.wrap_future(house.gathering.publish(event))
    except Exception as error:  # whatever kept it out of the log
        message = "It is not known whether the others were told."
        fix = f"The log could not be written ({type(error).__name__}); see what the server says of it."
        raise Refused(ErrorCode.PRESENCE_FAILED, message, fix) from error
