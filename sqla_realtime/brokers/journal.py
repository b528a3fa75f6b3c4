"""The seam between kinds of databases: what one has to be able to do to keep a log, as a list of promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import Connection, Dialect, Insert, insert
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers.closing import Refuse
from sqla_realtime.brokers.tables import log
from sqla_realtime.commit import Position
from sqla_realtime.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Written:
    """One transaction in the log: where it is, and the texts that it wrote, mostly one."""

    position: Position
    bodies: Sequence[str]


class Journal(ABC):
    """A log in one kind of database. Every call blocks; a connection is used by one thread at a time.

    The connection is the journal's own and commits by itself, but for ``write``. What the driver raises passes through, and is
    explained when somebody asks.
    Positions count transactions: no two readers are ever given another one for a transaction, or another order.
    ``announces``: whether ``announce`` reaches anybody. ``insertion`` is what adds a row, and ``rights`` are a writer's.
    A commit that is larger than ``largest``, in bytes, is not told row by row: it would be held by every reader.
    """

    announces: ClassVar[bool] = False
    insertion: ClassVar[Insert] = insert(log).inline().values(body="")
    rights: ClassVar[str] = "INSERT on realtime_log"
    largest: ClassVar[int] = 16 * 1024 * 1024

    def write(self, connection: Connection, body: str, refuse: Refuse) -> None:
        """Add a text to the transaction that is open on a connection and about to commit, past everything that listens to it:
        now, or with the COMMIT. What is raised where that fails is what ``refuse`` makes of the driver's error."""
        try:
            self.put(connection, body)
        except Exception as error:
            undo(connection)
            raise refuse(error) from error

    def add(self, connection: Connection, body: str) -> None:
        """Add a text in a transaction of its own, on a connection of the journal's."""
        self.put(connection, body)

    def put(self, connection: Connection, body: str) -> None:
        """Execute what adds a text. Raises what the driver raises."""
        statement, wrap = _spelled(self.insertion, connection.dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(statement, wrap(body))
        finally:
            cursor.close()

    @abstractmethod
    def announce(self, connection: Connection) -> None:
        """Tell the readers of other processes that there is something new. They look by themselves, too, so it may be lost."""

    def attend(self, connection: Connection) -> int | None:
        """From now on hear what others announce: the number of the file that can be read when they do; None where nothing
        tells of it. Doing so twice changes nothing."""
        return None

    def heard(self) -> bool:
        """Whether something was announced since this was asked last."""
        return False

    @abstractmethod
    def prepare(self, connection: Connection) -> None:
        """Make a new connection ready, and begin the log where it has not begun yet. Raises ConfigurationError."""

    @abstractmethod
    def explain(self, error: DBAPIError) -> ConfigurationError | None:
        """What has to be done about an error of any other call; None where it may be gone the next time."""

    @abstractmethod
    def now(self, connection: Connection) -> float:
        """The seconds of the clock by which it is told how old something is."""

    @abstractmethod
    def head(self, connection: Connection) -> Position:
        """A position at or after whatever is visible when this is called. Another epoch than before: begin anew there."""

    @abstractmethod
    def oldest(self, connection: Connection, count: int, age: float) -> Position:
        """How far back it reaches, so many transactions and seconds at the most."""

    @abstractmethod
    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        """The next after a position, in order; not all of them where they are many. Raises PositionGone."""

    @abstractmethod
    def purge(self, connection: Connection, age: float) -> bool:
        """Delete what is older than so many seconds, a bounded portion of it; whether there may be more."""


def undo(connection: Connection) -> None:
    """Roll back what is open on a connection whose COMMIT is about to raise: SQLAlchemy takes that for the end of the
    transaction, and would give the connection to the next one as it is."""
    with suppress(Exception):
        connection.connection.rollback()


@lru_cache(maxsize=16)
def _spelled(insertion: Insert, dialect: Dialect) -> tuple[str, Any]:
    """The INSERT in the driver's own spelling, and what makes its parameters of a text."""
    compiled = insertion.compile(dialect=dialect)
    wrap = (lambda body: (body,)) if compiled.positional else (lambda body: {"body": body})
    return str(compiled), wrap


def lacks_tables(error: Exception) -> bool:
    """Whether a statement has failed because the log's tables are not there, in the words of any database."""
    cause = getattr(error, "orig", None) or error
    undefined = getattr(cause, "sqlstate", None) == "42P01" or cause.args[:1] == (1146,)
    return undefined or "no such table" in str(cause)
