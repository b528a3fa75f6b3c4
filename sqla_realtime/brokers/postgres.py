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

import logging
import secrets
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers import ticks
from sqla_realtime.brokers.backend import CHANNEL, Backend, explain
from sqla_realtime.brokers.closing import Refuse, last
from sqla_realtime.brokers.journal import Journal, Written
from sqla_realtime.brokers.tables import VERSION
from sqla_realtime.commit import Position, new_epoch
from sqla_realtime.errors import ConfigurationError, LogTooNew, LogUnsuitable, PositionGone

log = logging.getLogger(__name__)

_POOLED = (
    "The log is read through a connection pooler, where nothing can be listened to, so it is looked at again and again: "
    "set REALTIME_LOG_URL, or Realtime(log_url=...), to a URL that leads to PostgreSQL itself. [log-pooled]"
)

# How many ticks are read, and how many transactions' rows are deleted, at a time.
READ, PURGE = 100, 5000
# The first server that has what is needed: xid8, and functions on snapshots of it.
OLDEST_SERVER = (13,)


class PostgresJournal(Journal):
    """Writers wait for nobody, a long transaction keeps nobody waiting, and every reader has the same order.

    The log begins a new epoch where the server is another one, or has another history: after a restored backup, or when a
    standby has taken over that lacked a part.
    """

    announces = True

    def __init__(self) -> None:
        # The last tick that is known, and its salt.
        self._mark: tuple[int, int] | None = None
        self._backend: Backend | None = None

    def _on(self, connection: Connection) -> Backend:
        if self._backend is None or self._backend.connection is not connection:
            pooled = self._backend is not None and self._backend.pooled
            self._backend = Backend(connection)
            if self._backend.pooled and not pooled:
                log.warning(_POOLED)
        return self._backend

    def write(self, connection: Connection, body: str, refuse: Refuse) -> None:
        if not last(connection, body, refuse):
            super().write(connection, body, refuse)

    def prepare(self, connection: Connection) -> None:
        version = connection.dialect.server_version_info or OLDEST_SERVER
        if version < OLDEST_SERVER:
            name = ".".join(map(str, version))
            raise LogUnsuitable(reason=f"PostgreSQL {name} has no 64 bit transaction numbers", remedy="Use 13 or later.")
        backend = self._on(connection)
        backend.demand()
        place = self._place(backend)
        values = {"version": VERSION, "epoch": new_epoch(), "place": place, "salt": secrets.randbits(62)}
        backend.run(ticks.BEGIN, values)
        latest = backend.run(ticks.LATEST).one()
        if latest.version > VERSION:
            raise LogTooNew(found=latest.version, known=VERSION)
        if place and latest.place and place != latest.place:
            self._renew(backend, latest.epoch, place)

    def explain(self, error: DBAPIError) -> ConfigurationError | None:
        return explain(error)

    def now(self, connection: Connection) -> float:
        return float(self._on(connection).run(ticks.NOW).scalar_one())

    @staticmethod
    def _place(backend: Backend) -> str:
        """The server and its history; nothing where it does not tell everybody."""
        try:
            return str(backend.run(ticks.PLACE).scalar_one())
        except DBAPIError:
            return ""

    def head(self, connection: Connection) -> Position:
        backend = self._on(connection)
        while True:
            known = self._mark or (-1, 0)
            row = backend.run(ticks.TICK, {"salt": secrets.randbits(62), "known": known[0]}).first()
            if row is None:  # somebody has emptied the tables
                self._mark = None
                self.prepare(connection)
            elif row.back or (self._mark is not None and not _is_known(row, *self._mark)):
                self._renew(backend, row.epoch, self._place(backend))
            elif not row.beaten:  # somebody else made it, perhaps from an earlier moment
                self._mark = (row.tick, row.salt)
                return Position(row.epoch, row.last)

    def _renew(self, backend: Backend, before: str, place: str) -> None:
        self._mark = None
        values = {"epoch": new_epoch(), "before": before, "place": place, "salt": secrets.randbits(62)}
        with backend.transaction():
            for statement in ticks.RENEW:
                backend.connection.execute(statement, values)

    def announce(self, connection: Connection) -> None:
        # Never in a writer's transaction: there it would have the whole server commit one transaction after the other.
        self._on(connection).connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def attend(self, connection: Connection) -> int | None:
        return self._on(connection).attend()

    def heard(self) -> bool:
        return self._backend is not None and self._backend.heard()

    def oldest(self, connection: Connection, count: int, age: float) -> Position:
        head = self.head(connection)
        values = {"epoch": head.epoch, "last": head.offset, "count": count, "age": age}
        found = self._on(connection).run(ticks.OLDEST, values).scalar()
        return head if found is None else Position(head.epoch, found)

    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        base = self._on(connection).run(ticks.BASE, {"offset": after.offset}).first()
        if base is None or base.epoch != after.epoch:
            raise PositionGone(position=after)
        rows: Sequence[Any] = self._on(connection).run(ticks.READ, {"base": base.tick, "most": READ}).all()
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
        boundary = self._on(connection).run(ticks.BOUNDARY, {"age": age}).first()
        if boundary is None:
            return False
        self._on(connection).run(ticks.PURGE_TICKS, {"tick": boundary.tick})
        return self._on(connection).run(ticks.PURGE, {"lo": boundary.lo, "most": PURGE}).rowcount == PURGE


def _is_known(row: Any, number: int, salt: int) -> bool:
    """Whether the last tick that was known is still what it was, or has been purged, and not taken back."""
    return bool(row.known == salt or (row.known is None and row.latest >= number))
