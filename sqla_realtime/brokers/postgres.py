"""The log on PostgreSQL: an order without a lock on writers, made of what became visible between two moments.

Ids and transaction numbers are given out before COMMIT, so whoever reads "after the last id" misses what commits later, and
whoever waits for the oldest transaction waits for every long one. Here a *tick* is the snapshot of one moment, kept in a row;
between two ticks lies what the later one shows and the earlier one does not. Any reader makes the next tick when there is
something for it, and all read the same ones. It is the batch of PgQ (Skype, 2007), without its daemon.

* Nothing is lost and nothing comes twice: a transaction is visible from one tick on, in all that follow. A tick is made from
  a snapshot that shows the tick before it, and that one's number can be taken once.
* Within a tick the order is that of each transaction's last row. It was numbered after the transaction had all the locks
  that it waited for, so of two that changed one row the later has the higher number.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers import ticks
from sqla_realtime.brokers.closing import Refuse, last
from sqla_realtime.brokers.journal import Journal, Written
from sqla_realtime.brokers.tables import VERSION
from sqla_realtime.commit import Position, new_epoch
from sqla_realtime.errors import LogMissing, LogTooNew, LogUnsuitable, PositionGone

# How many ticks are read, and how many transactions' rows are deleted, at a time.
READ, PURGE = 100, 5000
# The first server that has what is needed: xid8, and functions on snapshots of it.
OLDEST_SERVER, CHANNEL = (13,), "realtime_log"

# A boundary must outlive a crash, or what is told on its strength was never committed; no time-out cuts short its wait for a
# standby either. Statistics of a table that is filled and emptied all the time are always wrong: a sequential scan of it is
# never right, and nothing is worth being compiled.
_SETTINGS = (
    "SET synchronous_commit = on",
    "SET enable_seqscan = off",
    "SET jit = off",
    "SET statement_timeout = 0",
    "SET lock_timeout = '5s'",
    "SET application_name = 'sqla_realtime'",
)


class PostgresJournal(Journal):
    """Writers wait for nobody, a long transaction keeps nobody waiting, and every reader has the same order.

    The log begins a new epoch where the server is another one, or has another history: after a restored backup, or when a
    standby has taken over that lacked a part.
    """

    announces = True

    def __init__(self) -> None:
        # The last tick that is known, and its salt.
        self._mark: tuple[int, int] | None = None
        # Whether the connection listens, and whether it has heard anything: that comes with the answer to any statement.
        self._attending = self._heard = False

    def write(self, connection: Connection, body: str, refuse: Refuse) -> None:
        if not last(connection, body, refuse):
            super().write(connection, body, refuse)

    def prepare(self, connection: Connection) -> None:
        self._attending = self._heard = False
        version = connection.dialect.server_version_info or OLDEST_SERVER
        for setting in _SETTINGS:
            connection.exec_driver_sql(setting)
        if version < OLDEST_SERVER:
            name = ".".join(map(str, version))
            raise LogUnsuitable(reason=f"PostgreSQL {name} has no 64 bit transaction numbers", remedy="Use 13 or later.")
        place = self._place(connection)
        try:
            values = {"version": VERSION, "epoch": new_epoch(), "place": place, "salt": secrets.randbits(62)}
            connection.execute(ticks.BEGIN, values)
            latest = connection.execute(ticks.LATEST).one()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "42P01":  # undefined_table
                raise LogMissing(reason=str(error.orig).splitlines()[0]) from error
            raise
        if latest.version > VERSION:
            raise LogTooNew(found=latest.version, known=VERSION)
        if place and latest.place and place != latest.place:
            self._renew(connection, latest.epoch, place)

    @staticmethod
    def _place(connection: Connection) -> str:
        """The server and its history; nothing where it does not tell everybody."""
        try:
            return str(connection.execute(ticks.PLACE).scalar_one())
        except DBAPIError:
            return ""

    def head(self, connection: Connection) -> Position:
        while True:
            known = self._mark or (-1, 0)
            row = connection.execute(ticks.TICK, {"salt": secrets.randbits(62), "known": known[0]}).first()
            if row is None:  # somebody has emptied the tables
                self._mark = None
                self.prepare(connection)
            elif row.back or (self._mark is not None and not _is_known(row, *self._mark)):
                self._renew(connection, row.epoch, self._place(connection))
            elif not row.beaten:  # somebody else made it, perhaps from an earlier moment
                self._mark = (row.tick, row.salt)
                return Position(row.epoch, row.last)

    def _renew(self, connection: Connection, before: str, place: str) -> None:
        self._mark = None
        values = {"epoch": new_epoch(), "before": before, "place": place, "salt": secrets.randbits(62)}
        connection.exec_driver_sql("BEGIN")
        try:
            for statement in ticks.RENEW:
                connection.execute(statement, values)
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")

    def announce(self, connection: Connection) -> None:
        # Never in a writer's transaction: there it would have the whole server commit one transaction after the other.
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def attend(self, connection: Connection) -> int | None:
        driver: Any = connection.connection.driver_connection
        if connection.dialect.driver != "psycopg":
            return None
        if not self._attending:
            self._attending = True
            driver.add_notify_handler(self._hear)
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        return int(driver.fileno())

    def _hear(self, notification: object) -> None:
        self._heard = True

    def heard(self) -> bool:
        heard, self._heard = self._heard, False
        return heard

    def oldest(self, connection: Connection, count: int, age: float) -> Position:
        head = self.head(connection)
        values = {"epoch": head.epoch, "last": head.offset, "count": count, "age": age}
        found = connection.execute(ticks.OLDEST, values).scalar()
        return head if found is None else Position(head.epoch, found)

    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        base = connection.execute(ticks.BASE, {"offset": after.offset}).first()
        if base is None or base.epoch != after.epoch:
            raise PositionGone(position=after)
        rows: Sequence[Any] = connection.execute(ticks.READ, {"base": base.tick, "most": READ}).all()
        rows = [row for row in rows if row.epoch == after.epoch]
        found: list[Written] = []
        for _, tick in groupby(rows, key=lambda row: row.tick):
            found += self._of_tick(list(tick), after)
        return [each for each in found if each.position.offset > after.offset]

    @staticmethod
    def _of_tick(rows: Sequence[Any], after: Position) -> list[Written]:
        """The transactions of one tick. Raises PositionGone where one of them has been purged already."""
        transactions = [[row.body for row in each] for xid, each in groupby(rows, key=lambda row: row.xid) if xid is not None]
        first, last = rows[0].before, rows[0].last
        if len(transactions) != last - first:
            raise PositionGone(position=after)
        return [Written(Position(after.epoch, first + step), bodies) for step, bodies in enumerate(transactions, 1)]

    def purge(self, connection: Connection, age: float) -> bool:
        boundary = connection.execute(ticks.BOUNDARY, {"age": age}).first()
        if boundary is None:
            return False
        connection.execute(ticks.PURGE_TICKS, {"tick": boundary.tick})
        return connection.execute(ticks.PURGE, {"lo": boundary.lo, "most": PURGE}).rowcount == PURGE


def _is_known(row: Any, number: int, salt: int) -> bool:
    """Whether the last tick that was known is still what it was, or has been purged, and not taken back."""
    return bool(row.known == salt or (row.known is None and row.latest >= number))
