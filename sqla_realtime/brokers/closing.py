"""Sends the last statement of a transaction in one message with its COMMIT, which saves it a way to the server and back.

psycopg sends a text of several statements as it is, and the server carries them out in turn: where the first fails, there is
no COMMIT. SQLAlchemy has no event between the last of its ``commit`` listeners and the driver's COMMIT, so the dialect of an
engine that writes so has its ``do_commit`` and ``do_rollback`` wrapped, once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, TwoPhaseTransaction
from sqlalchemy.pool import PoolProxiedConnection

# What is raised where it fails, made of the driver's error.
Refuse = Callable[[Exception], Exception]
# Where a connection's ``info`` has what it will say last.
_KEY, _WRAPPED = "sqla_realtime.closing", "sqla_realtime_wrapped"


def last(connection: Connection, body: str, refuse: Refuse) -> bool:
    """Have a text written into the log with the COMMIT of the transaction that is about to commit; False where that can't be.

    Called in the writer's thread. It is forgotten where the transaction does not commit after all.
    """
    dialect, proxied = connection.dialect, connection.connection
    driver: Any = proxied.driver_connection
    if dialect.driver != "psycopg" or dialect.is_async or isinstance(connection.get_transaction(), TwoPhaseTransaction):
        return False
    if driver.info.transaction_status.name != "INTRANS":
        return False  # each statement commits by itself
    _wrap(dialect)
    # Between quotes that nobody can have written into it.
    quote = f"$q{secrets.token_hex(8)}$"
    statement = f"INSERT INTO realtime_log (body) VALUES ({quote}{body}{quote});"  # noqa: S608 - quoted
    # A transaction whose COMMIT somebody else has made raise goes on in the next one that gets the connection: so does this.
    proxied.info.setdefault(_KEY, []).append((statement, refuse))
    return True


def _wrap(dialect: Dialect) -> None:
    # Where two threads come here first and wrap it twice, the inner one finds nothing to send.
    if hasattr(dialect.do_commit, _WRAPPED):
        return
    commit, rollback = dialect.do_commit, dialect.do_rollback

    def do_commit(proxied: Any) -> None:
        waiting = _taken(proxied)
        if waiting:
            _send(proxied.driver_connection, waiting)
        commit(proxied)  # which sends nothing where there is no transaction any more

    def do_rollback(proxied: Any) -> None:
        _taken(proxied)
        rollback(proxied)

    setattr(do_commit, _WRAPPED, True)
    for name, wrapped in (("do_rollback", do_rollback), ("do_commit", do_commit)):
        setattr(dialect, name, wrapped)


def _taken(proxied: Any) -> list[tuple[str, Refuse]]:
    # While an engine connects for the first time it is the driver's own, which has an ``info`` of another kind.
    return proxied.info.pop(_KEY, []) if isinstance(proxied, PoolProxiedConnection) else []


def _send(driver: Any, waiting: Sequence[tuple[str, Refuse]]) -> None:
    try:
        driver.execute(" ".join([*(statement for statement, _ in waiting), "COMMIT"]), prepare=False).close()
    except Exception as error:
        # A statement that fails leaves a transaction behind, a COMMIT that fails leaves none.
        if driver.info.transaction_status.name == "INERROR":
            driver.rollback()
            raise waiting[-1][1](error) from error
        raise
