"""A connection to PostgreSQL that is the log's own: how it is set, whether a pooler lies between, and what it hears."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, CursorResult, TextClause, text
from sqlalchemy.exc import DBAPIError

from sqla_realtime.errors import ConfigurationError, LogForbidden, LogMissing

log = logging.getLogger(__name__)

CHANNEL = "realtime_log"

# A boundary must outlive a crash, or what is told on its strength was never committed; no time-out cuts short its wait for a
# standby either. Statistics of a table that is filled and emptied all the time are always wrong: a sequential scan of it is
# never right, and nothing is worth being compiled. A boundary that somebody began and vanished would have all others wait.
_SETTINGS = (
    "synchronous_commit = on",
    "enable_seqscan = off",
    "jit = off",
    "statement_timeout = 0",
    "lock_timeout = '5s'",
    "idle_in_transaction_session_timeout = '5s'",
    "application_name = 'sqla_realtime'",
)
_GRANT = (
    "GRANT SELECT, INSERT, DELETE ON realtime_log, realtime_tick TO its_role; GRANT UPDATE ON realtime_tick TO its_role; "
    "a process that only writes needs INSERT on realtime_log."
)
_PRIMARY = "Connect to the server that takes writes; with several hosts in the URL, add target_session_attrs=read-write."
_LACKING = text(
    "SELECT string_agg(act || ' on ' || name, ', ') FROM unnest(ARRAY['realtime_log', 'realtime_tick']) AS name, "
    "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS act "
    "WHERE (name, act) <> ('realtime_log', 'UPDATE') AND NOT has_table_privilege(name, act)"
)


class Backend:
    """Used by one thread. The connection commits by itself.

    ``pooled``: a pooler lends it a server's process for one transaction at a time. What is set beyond that would be somebody
    else's, so each statement is a transaction with settings of its own; and what is listened to somebody else would hear.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        driver: Any = connection.connection.driver_connection
        self._driver = driver
        self._attending = self._heard = False
        self.pooled = self._is_pooled()
        if self.pooled:
            # The next one to be lent the process would find psycopg's prepared statements in it, or not find its own.
            driver.prepare_threshold = None
        else:
            for setting in _SETTINGS:
                connection.exec_driver_sql(f"SET {setting}")

    def _is_pooled(self) -> bool:
        """Whether it is another process that answers than the one that the connection was made with."""
        told = getattr(getattr(self._driver, "info", None), "backend_pid", None)  # what is not psycopg may not say
        return told is not None and told != self.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()

    def run(self, statement: TextClause, values: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        """Execute a statement in a transaction of its own."""
        if not self.pooled:
            return self.connection.execute(statement, values)
        with self.transaction():
            return self.connection.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Whatever is executed on the connection is one transaction; it is rolled back where that raises."""
        settings = [f"SET LOCAL {setting}" for setting in _SETTINGS] if self.pooled else []
        self.connection.exec_driver_sql("; ".join(["BEGIN", *settings]))
        try:
            yield
        except BaseException:
            self.connection.exec_driver_sql("ROLLBACK")
            raise
        self.connection.exec_driver_sql("COMMIT")

    def demand(self) -> None:
        """Raises LogForbidden where the role may not do all that a reader does; some of that is done much later."""
        lacking = self.run(_LACKING).scalar()
        if lacking is not None:
            raise LogForbidden(reason=f"its role lacks {lacking}", remedy=_GRANT)

    def attend(self) -> int | None:
        """From now on hear what is announced: the number of the file that can be read then; None where nothing is heard."""
        if self.pooled or self.connection.dialect.driver != "psycopg":
            return None
        if not self._attending:
            self._attending = True
            self._driver.add_notify_handler(self._hear)
            self.connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        return int(self._driver.fileno())

    def _hear(self, notification: object) -> None:
        # It comes with the answer to any statement.
        self._heard = True

    def heard(self) -> bool:
        """Whether anything was announced since this was asked last."""
        heard, self._heard = self._heard, False
        return heard


def explain(error: DBAPIError) -> ConfigurationError | None:
    """What has to be done about an error of the server's; None where it may be gone the next time."""
    reason = str(error.orig).partition("\n")[0]
    match getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None):
        case "42P01":  # undefined_table
            return LogMissing(reason=reason)
        case "42501":  # insufficient_privilege
            return LogForbidden(reason=reason, remedy=_GRANT)
        case "25006":  # read_only_sql_transaction
            return LogForbidden(reason=reason, remedy=_PRIMARY)
    return None
