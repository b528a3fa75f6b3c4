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

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers.journal import Journal, Written, lacks_tables
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
_PLACE = text(
    "SELECT (SELECT system_identifier FROM pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)"
)
_BEGIN = text(
    "INSERT INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip) "
    "SELECT 0, :version, :epoch, :place, :salt, 0, pg_snapshot_xmin(s), pg_snapshot_xmax(s), ARRAY(SELECT pg_snapshot_xip(s)) "
    "FROM (SELECT pg_current_snapshot() AS s) AS now WHERE NOT EXISTS (SELECT FROM realtime_tick) ON CONFLICT DO NOTHING"
)
_LATEST = text("SELECT tick, version, epoch, place, last FROM realtime_tick ORDER BY tick DESC LIMIT 1")
# One statement, so that its snapshot is the one that it writes down, and the one that it counts in. What is new and what is
# late are looked up one by one: for both at once the planner may read the whole index.
_TICK = text(
    """
    WITH latest AS (SELECT * FROM realtime_tick ORDER BY tick DESC LIMIT 1),
    now AS (SELECT pg_current_snapshot() AS s),
    news AS (
        SELECT count(DISTINCT e.xid) AS count FROM latest CROSS JOIN LATERAL (
            SELECT xid FROM realtime_log WHERE xid >= latest.hi
            UNION ALL SELECT xid FROM realtime_log WHERE xid = ANY(latest.xip)
        ) AS e
    ),
    made AS (
        INSERT INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip)
        SELECT tick + 1, version, epoch, place, :salt, last + count,
               pg_snapshot_xmin(s), pg_snapshot_xmax(s), ARRAY(SELECT pg_snapshot_xip(s))
        FROM latest, now, news WHERE count > 0 AND hi <= pg_snapshot_xmax(s)
        ON CONFLICT DO NOTHING RETURNING tick, salt, last
    )
    SELECT epoch, tick AS latest, coalesce((SELECT tick FROM made), tick) AS tick, hi > pg_snapshot_xmax(s) AS back,
           coalesce((SELECT salt FROM made), salt) AS salt, (SELECT salt FROM realtime_tick WHERE tick = :known) AS known,
           coalesce((SELECT last FROM made), last) AS last, count > 0 AND NOT EXISTS (SELECT FROM made) AS beaten
    FROM latest, now, news
    """
)
# The rows that are still there belong to another history; numbers that are to come must not find them.
_RENEW = (
    text("LOCK TABLE realtime_tick IN EXCLUSIVE MODE"),
    text("DELETE FROM realtime_log WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())"),
    text(
        "INSERT INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip) "
        "SELECT tick + 1, version, :epoch, :place, :salt, last, pg_snapshot_xmin(s), pg_snapshot_xmax(s), "
        "ARRAY(SELECT pg_snapshot_xip(s)) FROM (SELECT pg_current_snapshot() AS s) AS now, "
        "(SELECT * FROM realtime_tick ORDER BY tick DESC LIMIT 1) AS latest WHERE epoch = :before"
    ),
)
_OLDEST = text(
    "SELECT min(last) FROM realtime_tick WHERE epoch = :epoch AND last >= :last - :count "
    "AND at >= extract(epoch FROM clock_timestamp()) - :age"
)
# Without the epoch, which is looked at afterwards: with it the planner would rather sort all ticks than use the index's order.
_BASE = text("SELECT tick, epoch FROM realtime_tick WHERE last <= :offset ORDER BY last DESC, tick DESC LIMIT 1")
_READ = text(
    """
    SELECT t.tick, t.epoch, t.before, t.last, e.xid, e.body
    FROM (
        SELECT *, lag(hi) OVER w AS from_xid, lag(xip) OVER w AS late, lag(last) OVER w AS before
        FROM (SELECT * FROM realtime_tick WHERE tick >= :base ORDER BY tick LIMIT :most) AS found
        WINDOW w AS (ORDER BY tick)
    ) AS t LEFT JOIN LATERAL (
        SELECT e.id, e.body, e.xid::text AS xid, max(e.id) OVER (PARTITION BY e.xid) AS place FROM (
            SELECT id, body, xid FROM realtime_log WHERE xid >= t.from_xid AND xid < t.hi
            UNION ALL SELECT id, body, xid FROM realtime_log WHERE xid = ANY(t.late)
        ) AS e WHERE e.xid <> ALL(t.xip)
    ) AS e ON true
    WHERE t.tick > :base ORDER BY t.tick, e.place, e.id
    """
)
_BOUNDARY = text(
    "SELECT tick, lo::text AS lo FROM realtime_tick WHERE at < extract(epoch FROM clock_timestamp()) - :age "
    "ORDER BY tick DESC LIMIT 1"
)
_PURGE_TICKS = text("DELETE FROM realtime_tick WHERE tick < :tick")
_PURGE = text(
    "DELETE FROM realtime_log WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM realtime_log WHERE xid < CAST(CAST(:lo AS text) AS xid8) ORDER BY xid LIMIT :most))"
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
            connection.execute(_BEGIN, values)
            latest = connection.execute(_LATEST).one()
        except DBAPIError as error:
            if lacks_tables(error):
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
            return str(connection.execute(_PLACE).scalar_one())
        except DBAPIError:
            return ""

    def head(self, connection: Connection) -> Position:
        while True:
            known = self._mark or (-1, 0)
            row = connection.execute(_TICK, {"salt": secrets.randbits(62), "known": known[0]}).first()
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
            for statement in _RENEW:
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
        found = connection.execute(_OLDEST, values).scalar()
        return head if found is None else Position(head.epoch, found)

    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        base = connection.execute(_BASE, {"offset": after.offset}).first()
        if base is None or base.epoch != after.epoch:
            raise PositionGone(position=after)
        rows: Sequence[Any] = connection.execute(_READ, {"base": base.tick, "most": READ}).all()
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
        boundary = connection.execute(_BOUNDARY, {"age": age}).first()
        if boundary is None:
            return False
        connection.execute(_PURGE_TICKS, {"tick": boundary.tick})
        return connection.execute(_PURGE, {"lo": boundary.lo, "most": PURGE}).rowcount == PURGE


def _is_known(row: Any, number: int, salt: int) -> bool:
    """Whether the last tick that was known is still what it was, or has been purged, and not taken back."""
    return bool(row.known == salt or (row.known is None and row.latest >= number))
