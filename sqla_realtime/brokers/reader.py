"""The thread that reads a database's log: it looks for what is new, fills the ring, answers questions and tidies up."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from typing import TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sqla_realtime.brokers.bell import Bell
from sqla_realtime.brokers.entries import Interpreter, entries_of
from sqla_realtime.brokers.journal import Journal
from sqla_realtime.brokers.journals import journal_of, own_engine
from sqla_realtime.brokers.questions import Question, Questions
from sqla_realtime.brokers.ring import Ring
from sqla_realtime.brokers.tidier import Tidier
from sqla_realtime.brokers.watchdog import Watchdog
from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import ConfigurationError, PositionGone, RealtimeError
from sqla_realtime.history import Bounds

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long between two looks: while there is news, and when there has been none for so many seconds.
BUSY, IDLE, CALM = 0.01, 0.25, 1.0
RETRY_BASE, RETRY_CAP = 0.1, 5.0
# How long whoever closes it waits for what is being asked, and once more for its end.
PARTING = 2.5


class Reader:
    """Any thread, but for the underscored, which are the reader's own thread's. It looks only while somebody follows, and
    comes back by itself when the database was away, or did not answer for ``deadline`` seconds; ``failure`` is then why.
    ``asked`` waits."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        bounds: Bounds,
        interpreter: Interpreter | None = None,
        *,
        url: str | None = None,
        deadline: float = 10.0,
    ) -> None:
        self._find = engine
        self._interpreter = interpreter
        self._url = url
        self._watchdog = Watchdog(deadline)
        self._engine: Engine | None = None
        # Kept from one connection to the next: it knows what has been read.
        self._journal: Journal | None = None
        self._ring = Ring(Position("", 0), bounds)
        self.asked = Questions()
        self._bell = Bell()
        self._announcing = False
        self._closed = False
        self._resting = True
        self._tidier = Tidier()
        self._news_at = time.monotonic()
        self._tries = 0
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sqla-realtime-log", daemon=True)
        self._thread.start()

    @property
    def bounds(self) -> Bounds:
        """How much past is kept, in the ring and in the database."""
        return self._ring.bounds

    @bounds.setter
    def bounds(self, bounds: Bounds) -> None:
        self._ring.bounds = bounds

    def wake(self) -> None:
        """There may be something new."""
        self._bell.ring()

    def announce(self) -> None:
        """This process has committed something: tell the readers of others."""
        self._announcing = True
        self._bell.ring()

    def ask(self, question: Question[T]) -> Future[T]:
        """Have something looked up in the database. While that is away it is asked again, until the future is cancelled."""
        future = self.asked.ask(question)
        self.wake()
        return future

    def enter(self, body: str) -> Future[Position]:
        """Write a text in a transaction of its own, soon; done when there is a boundary behind it."""

        def question(journal: Journal, connection: Connection) -> Position:
            journal.add(connection, body)
            self._announcing = True
            return journal.head(connection)

        return self.ask(question)

    def follow(self, after: Position) -> AsyncGenerator[Entry]:
        """Every entry after a position, for ever. Raises PositionGone."""
        return self._ring.follow(after, self._wait, self._older)

    async def _wait(self, event: asyncio.Event) -> None:
        if self._resting:
            self.wake()
        await event.wait()

    async def _older(self, after: Position) -> list[Entry]:
        def question(journal: Journal, connection: Connection) -> list[Entry]:
            head = journal.head(connection)
            if after.epoch != head.epoch or after.offset > head.offset:
                raise PositionGone(position=after)
            return entries_of(journal.read(connection, after), after, connection, self._interpreter)

        return await asyncio.wrap_future(self.ask(question))

    def close(self) -> None:
        """End the thread, and let go of its connection."""
        self._closed = True
        self._bell.ring()
        self._thread.join(PARTING)
        if self._thread.is_alive():
            self._watchdog.cut()
            self._thread.join(PARTING)

    def abandon(self) -> None:
        """In a forked child: the connection is the parent's, who goes on to use it."""
        self._closed = True
        if self._engine is not None:
            self._engine.dispose(close=False)

    # The thread.

    def _run(self) -> None:
        while not self._closed:
            asked = len(self.asked)
            try:
                self._engine = own_engine(self._find(), self._url, self._watchdog.patience)
                # First of all, because SQLAlchemy has questions of its own.
                event.listen(self._engine.pool, "connect", lambda made, record: self._watchdog.adopt(made), insert=True)
                with self._watchdog.over(), self._engine.connect() as connection:
                    self._journal = self._journal or journal_of(connection.dialect.name)
                    self._serve(self._journal, connection)
            except Exception as error:
                reason = self._reason(error)
                if isinstance(reason, ConfigurationError):
                    self._refuse(reason, asked)
                else:
                    self._note(reason)
                    self._pause()
            finally:
                if self._engine is not None:
                    self._engine.dispose()
        self.asked.cancel()
        self._watchdog.close()
        self._bell.close()

    def _reason(self, error: Exception) -> Exception:
        found = self._journal.explain(error) if isinstance(error, DBAPIError) and self._journal is not None else None
        return found or error

    def _note(self, error: Exception) -> None:
        """Log what is new about it. Where a database is away, or has to be changed, there is no traceback of it."""
        if self.failure is None:
            trace = None if isinstance(error, SQLAlchemyError | RealtimeError) else error
            log.warning("The log was lost; it is read again as soon as it can be: %s [log-lost]", _line(error), exc_info=trace)
        self.failure = error

    def _refuse(self, error: ConfigurationError, count: int) -> None:
        """Answer so many that there is no log; whoever has asked later has another try."""
        self._resting = True
        followed = self._ring.followed
        if followed:
            self._note(error)
        self.failure = error
        self._bell.silence()
        self.asked.refuse(error, count)
        if not (self._closed or self.asked):
            self._bell.wait(RETRY_CAP if followed else None)

    def _pause(self) -> None:
        """Full jitter, so that broadcasters do not come back in step."""
        self._bell.silence()
        time.sleep(random.uniform(0, min(RETRY_CAP, RETRY_BASE * 2 ** min(self._tries, 16))))  # noqa: S311
        self._tries += 1

    def _serve(self, journal: Journal, connection: Connection) -> None:
        prepared = False
        while not self._closed:
            self._watchdog.work()
            self._bell.silence()
            # Whoever only announces needs no right to anything.
            if not prepared and (self.asked or self._ring.followed):
                journal.prepare(connection)
                if self._interpreter is not None:
                    self._interpreter.ready(connection)
                prepared = True
            if prepared:
                self.asked.answer(journal, connection, self._watchdog.work)
            if self._announcing:
                self._announcing = False
                journal.announce(connection)
            ear = None
            if prepared and self._ring.followed:
                ear = journal.attend(connection)
                journal.heard()
                self._catch_up(journal, connection)
                self._tidier.tidy(journal, connection, self._ring.bounds.age)
            self._tries, self.failure = 0, None  # a whole look
            if not (self.asked or journal.heard()):
                self._rest(ear)

    def _rest(self, ear: int | None) -> None:
        """Until it is woken, by this process or another one, or it is time to look again by itself."""
        self._watchdog.rest()
        self._resting = True  # before it is asked whether anybody follows, lest one who begins now is not seen
        if not self._ring.followed:
            self._bell.wait(None)
        self._resting = False
        if self._ring.followed:
            self._bell.wait(BUSY if time.monotonic() - self._news_at < CALM else IDLE, ear)

    def _catch_up(self, journal: Journal, connection: Connection) -> None:
        head = journal.head(connection)
        if self._ring.head.epoch != head.epoch:
            self._ring.begin(head)
        try:
            while self._ring.head.offset < head.offset:
                written = journal.read(connection, self._ring.head)
                found = entries_of(written, self._ring.head, connection, self._interpreter)
                if not found:
                    break
                self._news_at = time.monotonic()
                self._ring.extend(found)
                self._watchdog.work()
        except PositionGone:
            self._ring.begin(head)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
