"""Who may join what, one channel after the other."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from sqla_realtime.history import Bounds
from sqla_realtime.hub.admission import admit
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.gathering import Gathering
from sqla_realtime.hub.house import House
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.rights import Rights
from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.protocol.v1 import V1
from tests.hub.fakes import at


class Doors:
    """Lets anybody into what begins with an a; a client that asks for "end" is gone when it is answered."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def admit(self, user: Any, channel: str) -> str:
        if channel == "end":
            self._connection.abort(CloseCode.RESTARTING)
        if not channel.startswith(("a", "end")):
            raise Refused(ErrorCode.FORBIDDEN, "no")
        return "{name}"


def asked(*channels: str, most: int = 10, ended: bool = False, joined: tuple[str, ...] = ()) -> tuple[Any, Any, Connection]:
    connection = Connection(V1(), 1000)
    hub = Hub(at(0), Bounds())
    for name in joined:
        hub._enter(connection, name, "{name}")
    parts = {"hub": hub, "gathering": Gathering(), "joined": hub.joined}
    house = cast(House, SimpleNamespace(**parts, doorkeeper=Doors(connection), subscriptions=most))
    admitted, refused = asyncio.run(admit(house, connection, cast(Rights, SimpleNamespace(ended=ended)), channels))
    return admitted, {name: refusal.code for name, refusal in refused.items()}, connection


def test_each_by_its_rule() -> None:
    assert asked("a", "b", "aa")[:2] == ({"a": "{name}", "aa": "{name}"}, {"b": ErrorCode.FORBIDDEN})


def test_not_more_than_it_may_be_in_and_again_what_it_is_in() -> None:
    assert asked("a1", "a2", "a3", most=2, joined=("a2",))[:2] == (
        {"a1": "{name}", "a2": "{name}"},
        {"a3": ErrorCode.TOO_MANY_SUBSCRIPTIONS},
    )


def test_who_is_refused_what_he_was_in_leaves_it() -> None:
    _, refused, connection = asked("b", joined=("b",))
    assert refused == {"b": ErrorCode.FORBIDDEN}
    assert connection.channels == set()


def test_nobody_without_rights_and_nothing_more_for_who_is_gone() -> None:
    assert asked("a", ended=True)[:2] == ({}, {"a": ErrorCode.NEEDS_AUTH})
    assert asked("a", "end", "ab")[0] == {"a": "{name}", "end": "{name}"}
