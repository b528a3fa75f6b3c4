"""Who writes: the browser's connection whose request is being answered, and where in the log its commits are.

A context variable, so each thread and each asyncio task has its own, and what a task starts has its task's. It is read
where a commit takes its place in line, in the thread that commits.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from sqla_realtime.brokers.base import Publisher, Ticket
from sqla_realtime.commit import Commit, Position

# Ours, or one of a client of Pusher's.
CONNECTION = re.compile(r"c-[A-Za-z0-9_-]{16,64}|[0-9]{1,20}\.[0-9]{1,20}")
_OLDER = re.compile(r"[A-Za-z0-9_-]{1,64}")
# How many seconds an answer may wait for the log to get to its own commit, while earlier COMMITs are under way.
PATIENCE = 0.5


class Author:
    """Whoever writes in one block, or in one request. Any thread: parts of the block may run in several.

    ``origin`` is a connection's id, or None for nobody who would know its own commits.
    """

    def __init__(self, broker: Publisher, origin: str | None) -> None:
        self.broker = broker
        self.origin = origin
        self._lock = threading.Lock()
        self._open: list[Ticket] = []
        self._last: Position | None = None

    def note(self, ticket: Ticket) -> None:
        """A commit of the block has taken its place in line."""
        with self._lock:
            self._tidy()
            self._open.append(ticket)

    @property
    def wrote(self) -> bool:
        """Whether the block has committed anything that is published, or may have."""
        with self._lock:
            self._tidy()
            return self._last is not None or bool(self._open)

    def position(self, patience: float = PATIENCE) -> Position | None:
        """Where the block's last commit is in the log; None where it has committed nothing that is published, or where that
        isn't known within so many seconds, because an earlier COMMIT takes longer. Blocks."""
        with self._lock:
            awaited = list(self._open)
        known = self.broker.settle(awaited, patience)
        with self._lock:
            self._tidy()
            return self._last if known else None

    def _tidy(self) -> None:
        """Of the commits that are in the log only the last counts."""
        for ticket in self._open:
            # Another epoch is another log: that of this process after a fork.
            if (place := ticket.position) is not None and (
                self._last is None or place.epoch != self._last.epoch or place > self._last
            ):
                self._last = place
        self._open = [ticket for ticket in self._open if ticket.open]


_authors: ContextVar[tuple[Author, ...]] = ContextVar("sqla_realtime_authors", default=())


def enter(author: Author) -> tuple[Author, ...]:
    """From now on this author writes; returns who did before, for ``leave``."""
    before = _authors.get()
    _authors.set((*before, author))
    return before


def leave(before: tuple[Author, ...]) -> None:
    """Have whoever wrote before write again. Not by a token: a request may be ended in another context than it began in."""
    _authors.set(before)


@contextmanager
def writing(broker: Publisher, origin: str | None) -> Iterator[Author]:
    """Until the block ends, what this thread or task commits to a log is its origin's. A malformed one is nobody."""
    author = Author(broker, origin if origin is not None and is_origin(origin) else None)
    before = enter(author)
    try:
        yield author
    finally:
        leave(before)


def authors(broker: Publisher) -> list[Author]:
    """Whoever writes to a log now, the innermost block last."""
    return [each for each in _authors.get() if each.broker is broker]


def signed(commit: Commit, by: list[Author]) -> Commit:
    """The commit with its origin."""
    return replace(commit, origin=by[-1].origin) if by and by[-1].origin is not None else commit


def is_origin(text: str) -> bool:
    """Whether this may be somebody's id."""
    return _OLDER.fullmatch(text) is not None or CONNECTION.fullmatch(text) is not None


def origin_of(connection: str | None, session: str | None) -> str | None:
    """Who a request says it is from: its ``X-Realtime-Connection`` or ``X-Socket-ID``, else its older ``X-Session-ID``, else
    nobody."""
    if connection is not None and CONNECTION.fullmatch(connection):
        return connection
    return session if session is not None and is_origin(session) else None
