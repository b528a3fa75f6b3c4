"""The log on MySQL and MariaDB: writers take its numbers from one counter, each until its COMMIT, so they are the order.

What AUTO_INCREMENT gives out is given out before COMMIT, and whoever reads "after the last id" misses what commits later. The
counter is a row that a writer changes in its own transaction, after everything else: the row stays locked until the COMMIT is
done and can be seen, and a rollback takes the number back. It is always the last lock of a transaction, so it closes no circle.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, insert, text
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers.counted import CountedJournal, look
from sqla_realtime.brokers.tables import COUNTER, log
from sqla_realtime.errors import ConfigurationError, LogForbidden, LogUnsuitable

# The first servers whose columns can have an expression as their default.
OLDEST_MYSQL, OLDEST_MARIADB = (8, 0, 13), (10, 2, 1)

_COUNT = "UPDATE realtime_tick SET last = last_insert_id(last + 1) WHERE tick = 0"
# A transaction that has read before somebody else committed could not change the counter after him (error 1020), where this is
# on, as it is from MariaDB 11.6.2 on. No number depends on what it has read.
_ISOLATION = "innodb_snapshot_isolation"
_UNISOLATED = f"SET STATEMENT {_ISOLATION} = OFF FOR {_COUNT}"
_KNOWS = f"SHOW VARIABLES LIKE '{_ISOLATION}'"
# ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR; ER_OPTION_PREVENTS_STATEMENT (read_only), and the transaction's.
_FORBIDDEN, _READ_ONLY = (1142, 1143), (1290, 1792)
_GRANT = (
    "GRANT SELECT, INSERT, DELETE ON realtime_log, and SELECT, INSERT, UPDATE ON realtime_tick; a process that only writes "
    "needs INSERT on realtime_log, SELECT and UPDATE on realtime_tick."
)
# The server's number and the second in which it was started, from behind which the rest counts up.
_PLACE = text("SELECT cast(uuid_short() >> 24 AS char)")
_ENGINES = text(
    "SELECT table_name AS name, engine AS kind FROM information_schema.tables WHERE table_schema = database() "
    "AND table_name IN ('realtime_log', 'realtime_tick') AND lower(engine) <> 'innodb'"
)


class MysqlJournal(CountedJournal):
    """Writers wait for one another from their last statement to their COMMIT; nobody else waits.

    What a server has committed it may lose when it is killed, and readers may have seen it already: so the log begins a new
    epoch where the server was started anew, or is another one.
    """

    insertion = insert(log).values(id=func.last_insert_id(), body="")
    rights = "INSERT on realtime_log, SELECT and UPDATE on realtime_tick"
    looking = look("last")
    # Twice that, where every character has to be escaped, is still less than the packet of 16 MiB that servers accept.
    largest = 7 * 1024 * 1024

    def __init__(self) -> None:
        super().__init__()
        self._count: str | None = None

    def put(self, connection: Connection, body: str) -> None:
        cursor = connection.connection.cursor()
        try:
            self._number(cursor)
        finally:
            cursor.close()
        super().put(connection, body)

    def _number(self, cursor: Any) -> None:
        """Take the next number."""
        if self._count is None:
            cursor.execute(_KNOWS)
            self._count = _UNISOLATED if cursor.fetchone() else _COUNT
        cursor.execute(self._count)
        if cursor.rowcount == 0:  # somebody has emptied the tables
            cursor.execute(COUNTER)
            cursor.execute(self._count)

    def add(self, connection: Connection, body: str) -> None:
        connection.exec_driver_sql("BEGIN")
        try:
            super().add(connection, body)
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")

    def prepare(self, connection: Connection) -> None:
        dialect: Any = connection.dialect
        version, oldest = dialect.server_version_info, OLDEST_MARIADB if dialect.is_mariadb else OLDEST_MYSQL
        if version < oldest:
            name, wanted = (".".join(map(str, each)) for each in (version, oldest))
            raise LogUnsuitable(
                reason=f"the server's version {name} has no defaults that are computed", remedy=f"Use {wanted}."
            )
        connection.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 5")
        for table in connection.execute(_ENGINES):
            raise LogUnsuitable(
                reason=f"{table.kind}, which keeps {table.name}, has no transactions",
                remedy=f"Write: ALTER TABLE {table.name} ENGINE = InnoDB",
            )
        super().prepare(connection)

    def explain(self, error: DBAPIError) -> ConfigurationError | None:
        code, *_ = getattr(error.orig, "args", None) or (0,)
        if code in _FORBIDDEN:
            return LogForbidden(reason=error.orig, remedy=_GRANT)
        if code in _READ_ONLY:
            return LogForbidden(reason=error.orig, remedy="Connect to the server that takes writes.")
        return super().explain(error)

    def place(self, connection: Connection) -> str:
        return str(connection.execute(_PLACE).scalar_one())

    def begin(self, connection: Connection) -> None:
        connection.exec_driver_sql(COUNTER)
