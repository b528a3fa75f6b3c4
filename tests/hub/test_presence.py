"""Presence: each user is told once, whatever its connections do, and a reload is no leave and join."""

from __future__ import annotations

import asyncio

import pytest

from sqla_realtime.hub.presence import Crowded, Member, Presence
from tests.support.virtual import run


class Told:
    def __init__(self, **settings: float) -> None:
        self.log: list[tuple[str, str, bool]] = []
        self.presence = Presence(self._hear, **settings)  # type: ignore[arg-type]

    def _hear(self, channel: str, member: Member, here: bool) -> None:
        self.log.append((channel, member.id, here))

    @property
    def ids(self) -> list[str]:
        return [member.id for member in self.presence.members("c")]


def test_a_user_with_several_connections_comes_and_goes_once() -> None:
    told = Told()
    told.presence.join("c", 1, "ann", {"name": "Ann"})
    told.presence.join("c", 1, "ann")
    told.presence.join("c", 2, "ann")
    told.presence.join("c", 3, "bob")
    told.presence.leave("c", 1, "ann")
    told.presence.leave("c", 1, "ann")
    assert (told.ids, told.log) == (["ann", "bob"], [("c", "ann", True), ("c", "bob", True)])
    assert told.presence.members("c")[0].info == {"name": "Ann"}
    told.presence.leave("c", 2, "ann")
    told.presence.leave("c", 9, "bob")
    told.presence.leave("x", 3, "bob")
    assert (told.ids, told.log[2:]) == (["bob"], [("c", "ann", False)])


def test_who_comes_back_in_time_was_never_gone() -> None:
    async def scene() -> None:
        told = Told(grace=3.0)
        told.presence.join("c", 1, "ann")
        told.presence.leave("c", 1, "ann", lost=True)
        await asyncio.sleep(2.9)
        assert told.ids == ["ann"]
        told.presence.join("c", 2, "ann")
        await asyncio.sleep(10)
        assert told.log == [("c", "ann", True)]
        told.presence.leave("c", 2, "ann", lost=True)
        await asyncio.sleep(3.1)
        assert (told.ids, told.log[1:]) == ([], [("c", "ann", False)])
        told.presence.join("c", 3, "bob")
        told.presence.leave("c", 3, "bob", lost=True)
        told.presence.close()
        await asyncio.sleep(10)
        assert told.log[2:] == [("c", "bob", True)]

    run(scene())


def test_there_are_so_many_at_most() -> None:
    told = Told(most=1)
    told.presence.join("c", 1, "ann")
    told.presence.join("c", 2, "ann")
    with pytest.raises(Crowded):
        told.presence.join("c", 3, "bob")
    assert told.ids == ["ann"]


def test_whoever_cannot_be_told_of_is_not_there() -> None:
    fails = [True]

    def announce(channel: str, member: Member, here: bool) -> None:
        if fails.pop():
            raise ValueError(member)

    presence = Presence(announce)
    with pytest.raises(ValueError, match="ann"):
        presence.join("c", 1, "ann")
    assert (presence.members("c"), presence._channels) == ([], {})
    fails.append(False)
    presence.join("c", 1, "ann")
    assert presence.there("c", "ann")
