"""What leaves the house, in words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from sqla_realtime.schema.assembly import Assembly
from sqla_realtime.schema.describe import describe
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry
from sqla_realtime.schema.rules import anyone
from tests.schema.models import Seat, Team


class SeatOut(BaseModel):
    place: Any = Field(validation_alias="number")


class TeamOut(BaseModel):
    id: int
    name: str


def test_nothing_is_said_of_nothing() -> None:
    assert describe(Registry()) == ["Nothing is published."]


def test_what_is_sent_what_is_kept_and_who_may_join() -> None:
    def may_join(user: Any, hall: str) -> bool:
        return True

    registry = Registry()
    registry.publish(Publication(Seat, SeatOut, "halls/{hall}"))
    registry.publish(Publication(Team, TeamOut, "teams", alias="/observer"))
    registry.rule("halls/{hall}", may_join)
    assert describe(registry) == [
        "Seat on halls/{hall} (joined by rule may_join)",
        "    sends: place",
        "    keeps: row, hall",
        "Team on teams, also called /observer (nobody may join: it has no rule)",
        "    sends: id, name",
        "    keeps: nothing",
    ]


def test_what_members_see_and_say() -> None:
    registry = Registry()
    registry.rule("rooms", anyone, Assembly("rooms", TeamOut, {"typing": SeatOut, "wave": SeatOut}))
    registry.rule("teams", anyone, Assembly("teams", None, {"wave": SeatOut}))
    assert describe(registry) == [
        "The members of rooms (joined by rule anyone)",
        "    see of each other: id, name",
        "    say to each other: typing, wave",
        "The members of teams (joined by rule anyone)",
        "    say to each other: wave",
    ]
