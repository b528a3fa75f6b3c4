"""A log whose rows are counted in the order of their COMMITs, because one writer at a time counts: what such logs share.

Rows have consecutive numbers, so a gap is something that was deleted. A database that was emptied, or put back from a backup,
is noticed by readers that were there before, because the last row that they know is not in it, or is another with another salt:
then the log begins a new epoch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, ClassVar

from sqlalchemy import Connection, TextClause, bindparam, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers.journal import Journal, Written, lacks_tables
from sqla_realtime.brokers.tables import VERSION, Now, log, tick
from sqla_realtime.commit import Position, new_epoch
from sqla_realtime.errors import ConfigurationError, LogMissing, LogTooNew, PositionGone

# How many transactions are read, and how many are deleted, at a time.
READ, PURGE = 1000, 5000

_RENEW = (
    update(tick)
    .where(tick.c.tick == 0, tick.c.epoch == bindparam("before"))
    .values(epoch=bindparam("new_epoch"), place=bindparam("new_place"))
)
_OLDEST = select(func.min(log.c.id)).where(log.c.id > bindparam("first"), log.c.at >= Now() - bindparam("age"))
_READ = select(log.c.id, log.c.body).where(log.c.id > bindparam("after")).order_by(log.c.id).limit(READ)
_NOW = select(Now())
# By a clock that was wrong for a while something can be from the future, too.
_YOUNG = select(log.c.id).where(func.abs(log.c.at - Now()) <= bindparam("age")).order_by(log.c.id).limit(1)
# Looked for before it is deleted, because looking for it among all would lock all.
_FIRST = select(log.c.id).where(log.c.id < bindparam("end")).order_by(log.c.id).limit(PURGE).subquery()
_OLD = select(func.max(_FIRST.c.id))
_PURGE = delete(log).where(log.c.id <= bindparam("until"))


def look(last: str) -> TextClause:
    """The one SELECT that tells where the log ends, where ``last`` is the last number that was given."""
    return text(
        f"SELECT epoch, version, place, {last} AS last, (SELECT xid FROM realtime_log WHERE id = {last}) AS salt, "  # noqa: S608 - ours
        "(SELECT xid FROM realtime_log WHERE id = :known) AS known FROM realtime_tick WHERE tick = 0"
    )


class CountedJournal(Journal):
    """``looking`` is made by ``look``."""

    looking: ClassVar[TextClause]

    def __init__(self) -> None:
        # The last number that was known, of which epoch, and the salt of its row where that was still there.
        self._mark: tuple[str, int, int | None] | None = None
        self._epochs: set[str] = set()

    @abstractmethod
    def begin(self, connection: Connection) -> None:
        """Make the row that the log begins with, where there is none."""

    def place(self, connection: Connection) -> str:
        """The server, and its history; nothing where that is not known."""
        return ""

    def prepare(self, connection: Connection) -> None:
        row = self._look(connection)
        if row.version > VERSION:
            raise LogTooNew(found=row.version, known=VERSION)
        place = self.place(connection)
        if row.place != place:
            self._renew(connection, row.epoch, place)

    def explain(self, error: DBAPIError) -> ConfigurationError | None:
        return LogMissing(reason=error.orig) if lacks_tables(error) else None

    def now(self, connection: Connection) -> float:
        return float(connection.execute(_NOW).scalar_one())

    def _look(self, connection: Connection, known: int | None = None) -> Any:
        while True:
            row = connection.execute(self.looking, {"known": known}).first()
            if row is not None:
                return row
            self.begin(connection)

    @staticmethod
    def _renew(connection: Connection, before: str, place: str) -> None:
        """Begin a new epoch, if nobody else has."""
        connection.execute(_RENEW, {"before": before, "new_epoch": new_epoch(), "new_place": place})

    def head(self, connection: Connection) -> Position:
        while True:
            row = self._look(connection, self._mark[1] if self._mark else None)
            if not self._is_another(row):
                self._mark = row.epoch, row.last, row.salt
                self._epochs.add(row.epoch)
                return Position(row.epoch, row.last)
            self._renew(connection, row.epoch, row.place)
            self._mark = None

    def _is_another(self, row: Any) -> bool:
        """Whether the last row that was known is not in this log, or is another one. It may have been purged."""
        if self._mark is None:
            return False
        epoch, number, salt = self._mark
        if row.epoch != epoch:  # somebody has begun a new one, or an old one has come back
            return row.epoch in self._epochs
        return bool(row.last < number or (salt is not None and row.known not in (salt, None)))

    def announce(self, connection: Connection) -> None:
        """Nobody can be told."""

    def oldest(self, connection: Connection, count: int, age: float) -> Position:
        head = self.head(connection)
        first = connection.execute(_OLDEST, {"first": head.offset - count, "age": age}).scalar()
        return head if first is None else Position(head.epoch, first - 1)

    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        head = self._look(connection)
        rows: Sequence[Any] = connection.execute(_READ, {"after": after.offset}).all()
        # What somebody has deleted is noticed by whoever comes to it.
        found = [row for number, row in takewhile(lambda each: each[0] == each[1].id, enumerate(rows, after.offset + 1))]
        if head.epoch != after.epoch or (not found and head.last > after.offset):
            raise PositionGone(position=after)
        return [Written(Position(after.epoch, row.id), [row.body]) for row in found]

    def purge(self, connection: Connection, age: float) -> bool:
        young = connection.execute(_YOUNG, {"age": age}).scalar()
        end = self._look(connection).last + 1 if young is None else young
        until = connection.execute(_OLD, {"end": end}).scalar()
        return until is not None and connection.execute(_PURGE, {"until": until}).rowcount == PURGE
