"""Presence: which users are in a channel, each once however many connections they have, and who has come and gone.

Whoever comes back soon was never gone, so that a page that is loaded anew is no leave and join. Where processes share a log
this is so of all of them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from sqla_realtime.hub.company import Company, Realm
from sqla_realtime.hub.parts import Turn
from sqla_realtime.protocol.reports import Fact

# For so many seconds somebody is still here whose last connection was lost.
GRACE = 3.0
# So many users may be in one channel.
MEMBERS = 1000


class Crowded(Exception):
    """There are as many users in a channel as may be."""


@dataclass(slots=True)
class Member:
    """A user in a channel; ``info`` is what the application tells the others about it."""

    id: str
    info: Any = None
    connections: set[Hashable] = field(default_factory=set)
    # Other processes that have connections of it.
    elsewhere: set[str] = field(default_factory=set)
    # Ends the grace of somebody who is not connected.
    leaving: asyncio.TimerHandle | None = None


class Presence:
    """The users in channels. Loop thread only. ``announce(channel, member, here)`` tells that one has come or gone.

    ``realm`` is where other processes hear of those who are here, and are heard of; without it there are none.
    """

    def __init__(
        self,
        announce: Callable[[str, Member, bool], None],
        grace: float = GRACE,
        most: int = MEMBERS,
        realm: Realm | None = None,
    ) -> None:
        self._announce = announce
        self._grace = grace
        self._most = most
        self._channels: dict[str, dict[str, Member]] = {}
        self._realm = realm or Company().realm("")
        self._realm.moved = self._moved

    def members(self, channel: str) -> list[Member]:
        """Who is there, in the order of coming."""
        return list(self._channels.get(channel, {}).values())

    def there(self, channel: str, user: str) -> bool:
        """Whether somebody is."""
        return user in self._channels.get(channel, {})

    def join(self, channel: str, connection: Hashable, user: str, info: Any = None) -> None:
        """A connection of a user's is in a channel. Raises Crowded."""
        members = self._channels.get(channel, {})
        member = members.get(user)
        if member is None:
            if len(members) >= self._most:
                raise Crowded
            member = self._come(channel, user, info)
        new = not member.connections and member.leaving is None
        if member.leaving is not None:
            member.leaving.cancel()
            member.leaving = None
        member.connections.add(connection)
        if new:
            self._realm.tell(channel, user, Fact(1, info))

    def leave(self, channel: str, connection: Hashable, user: str, *, lost: bool = False) -> None:
        """A connection of a user's is in a channel no more: on purpose, or it was ``lost`` and may come back."""
        member = self._channels.get(channel, {}).get(user)
        if member is None or connection not in member.connections:
            return
        member.connections.discard(connection)
        if member.connections:
            return
        if lost:
            loop = asyncio.get_running_loop()
            member.leaving = loop.call_later(self._grace, self._left, channel, member)
        else:
            self._left(channel, member)

    def close(self) -> None:
        """Nobody is told any more who goes."""
        for members in self._channels.values():
            for member in members.values():
                if member.leaving is not None:
                    member.leaving.cancel()
        self._channels.clear()

    def _left(self, channel: str, member: Member) -> None:
        member.leaving = None
        if not member.elsewhere:
            self._gone(channel, member)
        self._realm.tell(channel, member.id, None)

    def _moved(self, turn: Turn) -> None:
        """Another process has somebody, or has it no more."""
        channel, user = turn.key.channel, turn.key.item
        member = self._channels.get(channel, {}).get(user)
        if turn.fact is not None:
            member = member or self._come(channel, user, turn.fact.info)
            member.elsewhere.add(turn.process)
        elif member is not None:
            member.elsewhere.discard(turn.process)
            if not member.elsewhere and not member.connections and member.leaving is None:
                self._gone(channel, member)

    def _come(self, channel: str, user: str, info: Any) -> Member:
        member = Member(user, info)
        members = self._channels.setdefault(channel, {})
        members[user] = member
        try:
            self._announce(channel, member, True)
        except BaseException:
            # Whoever cannot be told of would be there for ever, unseen.
            del members[user]
            if not members:
                del self._channels[channel]
            raise
        return member

    def _gone(self, channel: str, member: Member) -> None:
        members = self._channels[channel]
        del members[member.id]
        if not members:
            del self._channels[channel]
        self._announce(channel, member, False)
