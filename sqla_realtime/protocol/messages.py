"""Every message as a frozen dataclass, whatever spells it; the first group comes from clients, the second goes to them.

Those about who is in a channel are in gathering.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqla_realtime.commit import Change, Position
from sqla_realtime.protocol.gathering import Attend, Depart, Departed, MemberJoined, MemberLeft, Members, Say, Spoken, Taken


@dataclass(frozen=True, slots=True)
class Hello:
    """The client introduces itself; ``connection`` is the id that it had before, or wants."""

    token: str | None = None
    connection: str | None = None

    def __repr__(self) -> str:
        return "Hello()"  # a token must not get into a log


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The client joins channels, from a position or from a snapshot."""

    id: int
    channels: tuple[str, ...]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The client leaves channels."""

    id: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renew:
    """The client goes on with another token."""

    id: int
    token: str

    def __repr__(self) -> str:
        return f"Renew({self.id})"  # a token must not get into a log


@dataclass(frozen=True, slots=True)
class Ping:
    """Either side shows life and may tell how far the client is, and that a commit of its ``own`` is behind it."""

    position: Position | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """A message that one dialect alone has; its own conversation knows what to do with it."""


class Command(NamedTuple):
    """Messages of the client of a one-way stream; ``via`` is what it was told with its hello, if anything."""

    connection: str
    messages: list[ClientMessage]
    via: str | None = None


ClientMessage = Hello | Subscribe | Unsubscribe | Renew | Ping | Attend | Depart | Say | Foreign


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a snapshot; ``record`` is its JSON text."""

    cls: str
    id: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Welcome:
    """The client is admitted."""

    connection: str
    ping: float
    via: str | None = None


class Missed(NamedTuple):
    """One commit of those that a client missed; ``origin`` where it is the client's own."""

    position: Position
    changes: Sequence[Change]
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """Channels that lost nothing since the client's position; the commits that they missed, in order and spelled by the
    codec.

    ``id`` is None where the client has not asked: it may go on after its rules were asked again. ``own``: a commit of the
    client's own was on the way, in these channels or others.
    """

    id: int | None
    position: Position
    channels: tuple[str, ...]
    commits: Sequence[bytes]
    own: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A channel's rows at a position."""

    id: int
    position: Position
    channel: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Joined:
    """Channels that the client is in from now on, without their rows."""

    id: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The client has left channels."""

    id: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renewed:
    """The client's new token holds."""

    id: int


@dataclass(frozen=True, slots=True)
class NeedsAuth:
    """The client's rights have ended, and with them its place in every channel."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Channels that the client was in and may no longer see."""

    channels: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Reset:
    """Channels that are no longer sent, because what happened in them can't be told row by row."""

    channels: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Error:
    """Something that the client sent was refused; ``channel`` where it is about that one alone."""

    code: str
    message: str
    fix: str | None = None
    channel: str | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a client's ping."""


@dataclass(frozen=True, slots=True)
class Bye:
    """The server closes on purpose; the client waits ``retry_after_ms``, which are its own, before it comes back."""

    code: int
    reason: str
    retry_after_ms: int | None = None


Answer = Welcome | Recovered | Snapshot | Joined | Unsubscribed | Renewed | Members | Departed | Taken | Error | Pong
News = NeedsAuth | Leave | Reset | MemberJoined | MemberLeft | Spoken | Ping | Bye
ServerMessage = Answer | News
