"""Who may join what: the channels that a client asks for, one by one, by their rules and by how many it may be in."""

from __future__ import annotations

from collections.abc import Iterable

from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.house import House
from sqla_realtime.hub.rights import Rights, needs_auth
from sqla_realtime.protocol.codes import ErrorCode


async def admit(
    house: House, connection: Connection, rights: Rights, channels: Iterable[str]
) -> tuple[dict[str, str], dict[str, Refused]]:
    """The channels that a client may join, with their patterns, and why it may not join the others, which it leaves."""
    joined = house.joined(connection)
    admitted: dict[str, str] = {}
    refused: dict[str, Refused] = {}
    for name in channels:
        try:
            if rights.ended:
                raise needs_auth()
            if name not in joined and len(joined.keys() | admitted.keys()) >= house.subscriptions:
                raise _too_many(house.subscriptions)
            admitted[name] = await house.doorkeeper.admit(connection.user, name)
        except Refused as refusal:
            house.hub.leave(connection, [name])
            house.gathering.leave(connection, [name])
            joined.pop(name, None)
            refused[name] = refusal
        if connection.close_code is not None:
            break
    return admitted, refused


def _too_many(most: int) -> Refused:
    return Refused(
        ErrorCode.TOO_MANY_SUBSCRIPTIONS,
        f"A connection may join {most} channels.",
        "Unsubscribe from something, or raise REALTIME_SUBSCRIPTIONS.",
    )
