"""Messages about who is in a channel and what they say to each other, as frozen dataclasses, whatever spells them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Attend:
    """The client wants to be with the others in a channel; ``tag`` is that of the members that it knows already."""

    id: int
    channel: str
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Depart:
    """The client wants to be there no longer."""

    id: int
    channel: str


@dataclass(frozen=True, slots=True)
class Say:
    """The client has something to say to the others in a channel; ``data`` is its JSON text."""

    id: int
    channel: str
    name: str
    data: str


class Person(NamedTuple):
    """One member: the user's id, and as JSON text what others are shown of it."""

    id: str
    info: str


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a channel, each spelled by the codec; ``members`` is None where the client knows. ``tag`` stands for them,
    ``you`` is the client's own user, where it is a member. ``id`` is None where the client has not asked: it may have missed
    something."""

    id: int | None
    channel: str
    tag: str
    members: Collection[bytes] | None
    you: str | None = None


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """One more is there."""

    channel: str
    member: Person
    tag: str


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """One is not there any more."""

    channel: str
    member: str
    tag: str


@dataclass(frozen=True, slots=True)
class Departed:
    """The client is with the others no longer."""

    id: int
    channel: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What the client has said is on its way to the others."""

    id: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """Somebody has said something; ``data`` is its JSON text, ``member`` the id of who it was."""

    channel: str
    name: str
    data: str
    member: str
