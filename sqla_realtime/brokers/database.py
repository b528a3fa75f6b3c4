"""The log in the application's own database: any number of processes write it and read it, and what is committed is in it.

A commit is written inside the transaction that it is about. One thread of each process that reads has a connection of its
own, on which it looks for what is new, and puts it into the ring that the loop follows.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from sqla_realtime.brokers.base import Broker, Probe, Ticket
from sqla_realtime.brokers.entries import Interpreter
from sqla_realtime.brokers.forks import watch
from sqla_realtime.brokers.journal import Journal, lacks_tables, undo
from sqla_realtime.brokers.journals import journal_of
from sqla_realtime.brokers.place import place_of
from sqla_realtime.brokers.reader import Reader
from sqla_realtime.brokers.spelling import spell
from sqla_realtime.commit import Commit, Entry, Position
from sqla_realtime.errors import LogMissing, LogUnreachable, LogUnsuitable, LogUnwritable
from sqla_realtime.history import Bounds

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

# So many may wait to be written or answered. Beyond that nothing is taken that was only said: it may be lost, and must not be
# piled up for as long as the database is away.
WAITING = 500


class _Ticket:
    """A commit whose place is decided by the database; known from the moment when somebody settles it."""

    __slots__ = ("_wake", "open", "position")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.open = True
        self.position: Position | None = None

    def finish(self, committed: bool) -> None:
        self.open = self.open and committed
        if committed:
            self._wake()

    def doubt(self) -> None:
        self._wake()  # the database knows

    def settle(self, position: Position) -> None:
        """The commit is at this position, or before it."""
        self.position, self.open = self.position or position, False


class DatabaseBroker(Broker):
    """The tier for several processes: nothing that was committed is lost, whatever is killed, and there is one order.

    ``engine`` finds the engine of the application's database, when it is needed first. ``interpreter`` makes commits of what
    triggers have written. ``url`` is another way to the database for what reads, and ``deadline`` the seconds after which a
    connection that gives no answer is made anew.
    """

    shared = True

    def __init__(
        self,
        engine: Callable[[], Engine],
        bounds: Bounds | None = None,
        patience: float = 10.0,
        interpreter: Interpreter | None = None,
        *,
        url: str | None = None,
        deadline: float = 10.0,
    ) -> None:
        self._engine = engine
        self._interpreter = interpreter
        self._url = url
        self._deadline = deadline
        self._bounds = bounds or Bounds()
        self._patience = patience
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._journals: dict[str, Journal] = {}
        watch(self)

    def abandon(self) -> None:
        """In a forked child: begin anew, without a thread or a connection."""
        self._lock = threading.Lock()
        if self._reader is not None:
            self._reader.abandon()
        self._reader = None

    def place(self) -> str | None:
        return place_of(self._engine().url)

    def configure(self, bounds: Bounds, patience: float) -> None:
        with self._lock:
            self._bounds, self._patience = bounds, patience
            if self._reader is not None:
                self._reader.bounds = bounds

    def stage(self, commit: Commit, connection: Connection) -> None:
        try:
            journal = self._journal(connection.dialect.name)
        except LogUnsuitable as error:
            undo(connection)
            raise _refused("nothing that would help", error) from error
        body = spell(commit)
        if len(body) > journal.largest:
            log.warning("A commit of %d bytes is not told row by row; its readers reload. [commit-too-large]", len(body))
            body = spell(commit.in_doubt())
        journal.write(connection, body.decode(), partial(_refused, journal.rights))

    def _journal(self, name: str) -> Journal:
        journal = self._journals.get(name)
        if journal is None:
            journal = self._journals[name] = journal_of(name)
        return journal

    def begin(self, commit: Commit, probe: Probe | None = None) -> _Ticket:
        return _Ticket(self._tell)

    def _tell(self) -> None:
        """There is something new: look here, and tell the other processes where that is possible."""
        if any(journal.announces for journal in self._journals.values()):
            self._running().announce()
        elif (reader := self._reader) is not None:
            reader.wake()

    def enter(self, commit: Commit) -> Future[Position]:
        reader = self._running()
        if commit.events and len(reader.asked) >= WAITING:
            refused: Future[Position] = Future()
            remedy = "Look whether the database runs, and keeps up."
            refused.set_exception(LogUnwritable(reason=f"{WAITING} others wait for it already", remedy=remedy))
            return refused
        return reader.enter(spell(commit).decode())

    def settle(self, tickets: Iterable[Ticket], patience: float) -> bool:
        awaited = [ticket for ticket in tickets if isinstance(ticket, _Ticket) and ticket.open]
        if awaited:
            asked = self._running().ask(_head)
            try:
                head = asked.result(patience)
            except Exception:  # whatever it is: the commit is in the log, and only where is not known
                asked.cancel()
                return False
            for ticket in awaited:
                ticket.settle(head)
        return True

    async def start(self) -> Position:
        bounds = self._bounds
        return await self._answer(lambda journal, connection: journal.oldest(connection, bounds.count, bounds.age))

    async def head(self) -> Position:
        return await self._answer(_head)

    async def _answer(self, question: Callable[[Journal, Connection], Position]) -> Position:
        reader = self._running()
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(reader.ask(question))
        except TimeoutError:
            raise LogUnreachable(patience=self._patience) from reader.failure

    def follow(self, after: Position) -> AsyncGenerator[Entry]:
        return self._running().follow(after)

    def close(self) -> None:
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _running(self) -> Reader:
        with self._lock:
            if self._reader is None:
                self._reader = Reader(self._engine, self._bounds, self._interpreter, url=self._url, deadline=self._deadline)
            return self._reader


def _refused(rights: str, error: Exception) -> LogUnwritable:
    remedy = f"Look at the error above; the role needs {rights}, and the disk needs room."
    return LogUnwritable(
        reason=f"{type(error).__name__}: {error}".strip(), remedy=LogMissing.fix if lacks_tables(error) else remedy
    )


def _head(journal: Journal, connection: Connection) -> Position:
    return journal.head(connection)
