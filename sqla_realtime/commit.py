"""What travels: a Change is one row's part in a transaction, a Commit all of them, an Entry a Commit with its Position."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal, NamedTuple

ChangeType = Literal["create", "update", "destroy"]
Cause = Literal["enter", "leave"]

# 2**53 - 1 is the last integer that JavaScript holds exactly; no log counts beyond it.
MAX_OFFSET = 2**53 - 1
_MAX_EPOCH = 32
# Bytes of a change without its record, roughly.
_EACH = 250


class Position(NamedTuple):
    """A place in one log: its ``epoch`` names the log's incarnation, ``offset`` counts its commits from 1."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """The position that ``str()`` wrote, or None for any other text."""
        epoch, dot, digits = text.rpartition(".")
        if not dot or not epoch or len(epoch) > _MAX_EPOCH or not epoch.isascii() or not epoch.isalnum():
            return None
        if not digits.isascii() or not digits.isdigit() or len(digits) > 16 or str(int(digits)) != digits:
            return None
        offset = int(digits)
        return cls(epoch, offset) if offset <= MAX_OFFSET else None


def new_epoch() -> str:
    """A name that no other incarnation of a log has: 48 random bits."""
    return secrets.token_hex(6)


class Change(NamedTuple):
    """One row's part in a transaction, as one channel sees it. A tuple, because a commit can have a hundred thousand.

    ``record`` is the row's JSON text in UTF-8, made once and never parsed again; None for ``destroy``. ``changed`` are
    field names, for ``update`` only. ``cause`` tells a move between channels from a birth or a death. ``side``: the row
    was changed along with others, by the database or because its record shows one of them.
    """

    channel: str
    type: ChangeType
    cls: str
    id: str
    record: bytes | None = None
    changed: tuple[str, ...] = ()
    cause: Cause | None = None
    side: bool = False

    @property
    def size(self) -> int:
        """Bytes held, roughly: what the history is charged."""
        return len(self.record or b"") + _EACH


class Order(NamedTuple):
    """What every server of a log is to do when it comes to it: ``revoke`` a user, or ``recheck`` a channel or a pattern."""

    kind: Literal["revoke", "recheck"]
    subject: str


class Event(NamedTuple):
    """What somebody has said in a channel of an application of another dialect; no row, and nothing that is read here.

    ``data`` is text. ``user`` says who said it, where that is told; ``without`` is the connection that does not hear it.
    """

    app: str
    channel: str
    name: str
    data: str
    user: str | None = None
    without: str | None = None

    @property
    def size(self) -> int:
        """Bytes held, roughly."""
        return len(self.data) + _EACH


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one transaction did to published rows, in order.

    ``invalidated`` names the channels, or the patterns (which stand for all their channels), whose rows changed in a way
    that is not told row by row. ``origin`` is the connection of the browser whose request made the commit; it is told to
    that connection alone. ``orders`` are for the servers; no client hears of them. ``events`` are no part of a
    transaction: the log carries them to all servers.
    """

    changes: tuple[Change, ...]
    invalidated: frozenset[str] = frozenset()
    origin: str | None = None
    orders: tuple[Order, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def size(self) -> int:
        """Bytes held, roughly."""
        said = sum([event.size for event in self.events])
        return sum([len(change.record or b"") for change in self.changes]) + _EACH * len(self.changes) + said + 200

    def in_doubt(self) -> Commit:
        """The same without a row of it: its channels have changed, or perhaps they have not."""
        return Commit((), self.invalidated | {change.channel for change in self.changes}, self.origin, self.orders, self.events)

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.changes or self.invalidated or self.orders or self.events)


class Entry(NamedTuple):
    """A commit at its place in the log."""

    position: Position
    commit: Commit
