"""What a conversation needs from outside the hub, as promises: who a client is, what it may join, and a channel's rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqla_realtime.protocol.messages import Row


@dataclass(frozen=True, slots=True)
class Handshake:
    """What is known of a client before it says a word: request headers by lower-case name, its address, and what it is
    counted together with, None for nothing."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    address: str = ""
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """Who a client turned out to be. ``user`` is the application's own object, None for anonymous; ``expires`` is the
    end of its token in seconds since the epoch, None where it has none. ``id`` is the user's id as its token or session
    has it, None where there is none, and ``identity`` all that this says: what it takes to identify the client again."""

    user: Any = None
    expires: float | None = None
    id: str | None = None
    identity: Any = field(default=None, repr=False)

    @property
    def member(self) -> str | None:
        """The id by which others know it: none where the application knows nobody of this id any more."""
        return None if self.user is None else self.id


class Place(NamedTuple):
    """What a channel's name means: the ``pattern`` that it is one of, whether ``rows`` are published there, whether it is
    ``open`` to anyone, and whether it has a rule at all, without which nobody may join; whether those who are there are told
    of each other (``members``), and whether they may say something to each other (``events``)."""

    pattern: str
    rows: bool
    open: bool
    ruled: bool
    members: bool = False
    events: bool = False


class Refused(Exception):
    """A client or a request that is not let in; ``code`` is the protocol's, ``fix`` is told in development only."""

    def __init__(self, code: str, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


class Ending(Exception):
    """Nobody answers any more, because the process ends. That is no refusal: the client is to come back."""


class Doorkeeper(ABC):
    """Decides who may do what. Its methods may wait, but never block the loop, and may raise Ending."""

    @abstractmethod
    async def identify(self, handshake: Handshake, token: str | None) -> Guest:
        """Who this is. Raises Refused for a token that does not hold."""

    @abstractmethod
    async def review(self, handshake: Handshake, guest: Guest) -> Guest:
        """Who a guest is by now, as the application sees it. Its ``expires`` stays."""

    @abstractmethod
    def find(self, channel: str) -> Place | None:
        """What a channel's name means, None where nothing is declared for it. Asks nobody, and does not wait."""

    def meant(self, name: str) -> Sequence[str]:
        """The channels that a foreign client means by a name: this one, or those that it is another name of. Does not wait."""
        return (name,)

    @abstractmethod
    async def admit(self, user: Any, channel: str) -> str:
        """The pattern of a channel that this user may join. Raises Refused, alike for what is forbidden and for what
        does not exist."""

    @abstractmethod
    async def profile(self, user: Any, channel: str) -> str:
        """What the others in a channel are shown of a user, as JSON text. Raises Refused."""

    @abstractmethod
    async def event(self, channel: str, name: str, data: str) -> str:
        """What the others in a channel are told of an event: its data as the application has declared it, as JSON text.
        Raises Refused for one that nobody declared, and for other data than was declared."""


class Archive(ABC):
    """Reads what is stored. May wait, never blocks the loop, may raise Ending."""

    @abstractmethod
    async def rows(self, channel: str) -> Sequence[Row]:
        """The channel's rows, as committed at some moment between the call and the answer. Raises Refused."""
