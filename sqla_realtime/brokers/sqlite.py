"""The log in an SQLite file, for the processes of one machine: ids are given to one writer at a time, so they are the order."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers.journal import Journal, Written
from sqla_realtime.brokers.tables import VERSION
from sqla_realtime.commit import Position, new_epoch
from sqla_realtime.errors import ConfigurationError, LogForbidden, LogMissing, LogTooNew, PositionGone

# How many transactions are read, and how many are deleted, at a time.
READ, PURGE = 1000, 5000

_EPOCH = text("SELECT epoch, version FROM realtime_tick WHERE tick = 0")
_BEGIN = text(
    "INSERT OR IGNORE INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip) "
    "VALUES (0, :version, :epoch, '', :salt, 0, 0, 0, '')"
)
_RENEW = text("UPDATE realtime_tick SET epoch = :epoch WHERE tick = 0 AND epoch = :before")
# AUTOINCREMENT counts in this table; its row is there from the first insertion on.
_LAST = text("SELECT seq FROM sqlite_sequence WHERE name = 'realtime_log'")
_OLDEST = text(
    "SELECT min(id) FROM realtime_log WHERE id > :last - :count AND at >= (julianday('now') - 2440587.5) * 86400.0 - :age"
)
_SALT = text("SELECT xid FROM realtime_log WHERE id = :id")
_READ = text("SELECT id, body FROM realtime_log WHERE id > :after ORDER BY id LIMIT :most")
# What comes before the first that is young. By a clock that was wrong for a while something can be from the future, too.
_PURGE = text(
    "DELETE FROM realtime_log WHERE id IN (SELECT id FROM realtime_log WHERE id < coalesce((SELECT id FROM realtime_log "
    "WHERE abs(at - (julianday('now') - 2440587.5) * 86400.0) <= :age ORDER BY id LIMIT 1), :end) ORDER BY id LIMIT :most)"
)
_NOW = text("SELECT (julianday('now') - 2440587.5) * 86400.0")
_VERSION = text("PRAGMA data_version")


class SqliteJournal(Journal):
    """Whoever writes has the only write lock of the file from its first statement to its COMMIT.

    A file that was put back from a backup is noticed by readers that were there before, because the last transaction that
    they know is not in it, or another one with another salt: then the log begins a new epoch.
    """

    def __init__(self) -> None:
        # The look that says whether anybody else has committed since, and what was found out at the last of them.
        self._seen: object = None
        self._head: Position | None = None
        # The last transaction that was known, and its salt where it was still there.
        self._mark: tuple[int, int | None] | None = None
        self._path, self._file = "", (0, 0)

    def prepare(self, connection: Connection) -> None:
        self._seen = None
        # Whatever else is attached, and however the URL spells it.
        [self._path] = [row.file for row in connection.exec_driver_sql("PRAGMA database_list") if row.name == "main"]
        self._file = _file_of(self._path)
        connection.exec_driver_sql("PRAGMA busy_timeout = 5000")
        connection.execute(_BEGIN, {"version": VERSION, "epoch": new_epoch(), "salt": secrets.randbits(31)})
        _, version = connection.execute(_EPOCH).one()
        if version > VERSION:
            raise LogTooNew(found=version, known=VERSION)

    def explain(self, error: DBAPIError) -> ConfigurationError | None:
        if "no such table" in str(error.orig):
            return LogMissing(reason=error.orig)
        if "readonly database" in str(error.orig):
            return LogForbidden(reason=error.orig, remedy=f"Let it write {self._path}, its folder, and the files beside it.")
        return None

    def now(self, connection: Connection) -> float:
        return float(connection.execute(_NOW).scalar_one())

    def head(self, connection: Connection) -> Position:
        if _file_of(self._path) != self._file:
            raise ConnectionError("another file has taken the place of the database")
        seen = connection.execute(_VERSION).scalar()
        if self._head is None or seen != self._seen:
            epoch, _ = connection.execute(_EPOCH).one()
            head = Position(epoch, connection.execute(_LAST).scalar() or 0)
            if self._is_another(connection, head):
                connection.execute(_RENEW, {"epoch": new_epoch(), "before": epoch})
                self._mark = None
                return self.head(connection)
            self._head, self._seen = head, seen
            self._mark = head.offset, connection.execute(_SALT, {"id": head.offset}).scalar()
        return self._head

    def _is_another(self, connection: Connection, head: Position) -> bool:
        """Whether the last transaction that was known is not in this file, or is another one. It may have been purged."""
        if self._mark is None:
            return False
        number, salt = self._mark
        if head.offset < number:
            return True
        return salt is not None and connection.execute(_SALT, {"id": number}).scalar() not in (salt, None)

    def announce(self, connection: Connection) -> None:
        """Nobody can be told."""

    def oldest(self, connection: Connection, count: int, age: float) -> Position:
        head = self.head(connection)
        first = connection.execute(_OLDEST, {"last": head.offset, "count": count, "age": age}).scalar()
        return head if first is None else Position(head.epoch, first - 1)

    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        last = connection.execute(_LAST).scalar() or 0
        rows: Sequence[Any] = connection.execute(_READ, {"after": after.offset, "most": READ}).all()
        # What somebody has deleted is noticed by whoever comes to it.
        found = [row for number, row in takewhile(lambda each: each[0] == each[1].id, enumerate(rows, after.offset + 1))]
        if not found and last > after.offset:
            raise PositionGone(position=after)
        return [Written(Position(after.epoch, row.id), [row.body]) for row in found]

    def add(self, connection: Connection, body: str) -> None:
        super().add(connection, body)
        self._seen = None  # a connection is not told of what it has written itself

    def purge(self, connection: Connection, age: float) -> bool:
        last = connection.execute(_LAST).scalar() or 0
        return connection.execute(_PURGE, {"age": age, "end": last + 1, "most": PURGE}).rowcount == PURGE


def _file_of(path: str) -> tuple[int, int]:
    """Which file has the database's name now. One that was moved away is still there for whoever has opened it."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
