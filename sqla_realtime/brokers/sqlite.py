"""The log in an SQLite file, for the processes of one machine: ids are given to one writer at a time, so they are the order."""

from __future__ import annotations

import os
import secrets

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers.counted import CountedJournal, look
from sqla_realtime.brokers.tables import VERSION
from sqla_realtime.commit import Position, new_epoch
from sqla_realtime.errors import ConfigurationError, LogForbidden

_BEGIN = text(
    "INSERT OR IGNORE INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip) "
    "VALUES (0, :version, :epoch, '', :salt, 0, 0, 0, '')"
)
_VERSION = text("PRAGMA data_version")


class SqliteJournal(CountedJournal):
    """Whoever writes has the only write lock of the file from its first statement to its COMMIT."""

    # AUTOINCREMENT counts in this table; its row is there from the first insertion on.
    looking = look("coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'realtime_log'), 0)")

    def __init__(self) -> None:
        super().__init__()
        # The look that says whether anybody else has committed since, and what was found out at the last of them.
        self._seen: object = None
        self._head: Position | None = None
        self._path, self._file = "", (0, 0)

    def prepare(self, connection: Connection) -> None:
        self._seen = None
        # Whatever else is attached, and however the URL spells it.
        [self._path] = [row.file for row in connection.exec_driver_sql("PRAGMA database_list") if row.name == "main"]
        self._file = _file_of(self._path)
        connection.exec_driver_sql("PRAGMA busy_timeout = 5000")
        self.begin(connection)  # also where it has begun: whoever can only read is to know it now
        super().prepare(connection)

    def begin(self, connection: Connection) -> None:
        connection.execute(_BEGIN, {"version": VERSION, "epoch": new_epoch(), "salt": secrets.randbits(31)})

    def explain(self, error: DBAPIError) -> ConfigurationError | None:
        if "readonly database" in str(error.orig):
            return LogForbidden(reason=error.orig, remedy=f"Let it write {self._path}, its folder, and the files beside it.")
        return super().explain(error)

    def head(self, connection: Connection) -> Position:
        if _file_of(self._path) != self._file:
            raise ConnectionError("another file has taken the place of the database")
        seen = connection.execute(_VERSION).scalar()
        if self._head is None or seen != self._seen:
            self._head, self._seen = super().head(connection), seen
        return self._head

    def add(self, connection: Connection, body: str) -> None:
        super().add(connection, body)
        self._seen = None  # a connection is not told of what it has written itself


def _file_of(path: str) -> tuple[int, int]:
    """Which file has the database's name now. One that was moved away is still there for whoever has opened it."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
