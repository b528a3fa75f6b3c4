"""What the conversations of one server share, and what is said to all of them: that rights have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

from sqla_realtime.commit import Order
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Doorkeeper, Refused
from sqla_realtime.hub.gathering import Gathering
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.pace import Rate
from sqla_realtime.hub.snapshots import Snapshots
from sqla_realtime.hub.tally import Tally
from sqla_realtime.protocol.messages import Error

if TYPE_CHECKING:
    from sqla_realtime.hub.conversation import Conversation


@dataclass(frozen=True, slots=True)
class House:
    """What the conversations of one server share. ``patience`` is how many seconds a client without rights may stay,
    ``rate`` how fast one may talk, ``tally`` counts for the log; ``gathering`` is who is together in channels, and
    ``conversations`` are those under way."""

    hub: Hub
    snapshots: Snapshots
    doorkeeper: Doorkeeper
    ping_interval: float
    subscriptions: int
    max_errors: int
    explain: bool
    patience: float = 10.0
    rate: Rate = field(default_factory=Rate)
    tally: Tally = field(default_factory=Tally)
    gathering: Gathering = field(default_factory=Gathering)
    conversations: WeakSet[Conversation] = field(default_factory=WeakSet)

    def refuse(self, connection: Connection, refused: Refused, channel: str | None = None, number: int | None = None) -> None:
        """Tell a client that something is not to be had, and in development what to do about it."""
        fix = refused.fix if self.explain else None
        connection.tell(Error(refused.code, refused.message, fix, channel, number))

    def joined(self, connection: Connection) -> dict[str, str]:
        """The channels that a connection hears anything of, or waits for, and their patterns."""
        return self.hub.joined(connection) | self.gathering.attended(connection)

    def obey(self, order: Order | None) -> None:
        """Do what a log says to all its servers; None where that may have been missed, so everybody is looked at again."""
        match order:
            case Order("recheck", channel):
                self.recheck(channel)
            case Order(_, user):
                self.revoke(user)
            case None:
                self.revoke(None)

    def revoke(self, user: str | None) -> None:
        """Identify a user's connections again, or everybody's, and ask for all their channels. Until then they are sent
        nothing."""
        for conversation in list(self.conversations):
            conversation.doubt_user(user)

    def recheck(self, channel: str) -> None:
        """Ask again for a channel, or for all of a pattern. Until then whoever is in one of them is sent nothing."""
        for conversation in list(self.conversations):
            conversation.doubt(lambda name, pattern: channel in (name, pattern))
