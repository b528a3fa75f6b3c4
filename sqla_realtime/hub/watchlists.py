"""Watchlists: who has signed in is online, and whoever watches somebody is told when that begins and ends."""

from __future__ import annotations

import sys
from collections.abc import Collection

from sqla_realtime.hub.company import Realm
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.presence import Member, Presence
from sqla_realtime.protocol import pusher

# So many users may one connection watch.
WATCHED = 100


class Watchlists:
    """Those of one application. Loop thread only. ``realm`` is where all processes tell who has signed in."""

    def __init__(self, realm: Realm) -> None:
        self._online = Presence(self._turn, most=sys.maxsize, realm=realm)
        self._watchers: dict[str, dict[Connection, None]] = {}
        self._watched: dict[Connection, Collection[str]] = {}

    def sign_in(self, connection: Connection, user: str, watched: Collection[str]) -> None:
        """Somebody is online, and is told who else is and who is not."""
        self._forget(connection)
        self._online.join("", connection, user)
        if watched:
            self._watched[connection] = watched
            for each in watched:
                self._watchers.setdefault(each, {})[connection] = None
            online = {each: self._online.there("", each) for each in watched}
            _tell(connection, [each for each in online if online[each]], [each for each in online if not online[each]])

    def sign_out(self, connection: Connection, user: str) -> None:
        """A connection is lost."""
        self._forget(connection)
        self._online.leave("", connection, user, lost=True)

    def close(self) -> None:
        """The server ends."""
        self._online.close()

    def _forget(self, connection: Connection) -> None:
        for each in self._watched.pop(connection, ()):
            self._watchers[each].pop(connection, None)
            if not self._watchers[each]:
                del self._watchers[each]

    def _turn(self, channel: str, member: Member, here: bool) -> None:
        for connection in list(self._watchers.get(member.id, ())):
            _tell(connection, [member.id] if here else [], [] if here else [member.id])


def _tell(connection: Connection, online: list[str], offline: list[str]) -> None:
    turns = (("online", online), ("offline", offline))
    events = [{"name": name, "user_ids": users} for name, users in turns if users]
    connection.settle()
    connection.send(pusher.event("pusher_internal:watchlist_events", {"events": events}))
