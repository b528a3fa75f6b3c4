"""What was read from a database's log, as the entries that readers follow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from sqla_realtime.brokers.journal import Written
from sqla_realtime.brokers.spelling import Rows, Unreadable, read
from sqla_realtime.commit import Commit, Entry, Position
from sqla_realtime.errors import PositionGone

log = logging.getLogger(__name__)


class Interpreter(Protocol):
    """Knows what the tables that are watched by triggers mean to readers. The reader's thread."""

    def ready(self, connection: Connection) -> None:
        """A connection was made: say so in the log where tables are not watched that should be. Never raises but DBAPIError."""

    def __call__(self, connection: Connection, rows: Sequence[Rows], told: Commit, /) -> Commit:
        """What a transaction amounts to that has executed these statements on watched tables, and has told this besides.

        Raises DBAPIError where the database has gone away.
        """


def entries_of(
    written: Sequence[Written], after: Position, connection: Connection, interpreter: Interpreter | None
) -> list[Entry]:
    """Raises PositionGone where one of them is no commit that is understood here."""
    return [Entry(each.position, _commit(each, after, connection, interpreter)) for each in written]


def _commit(written: Written, after: Position, connection: Connection, interpreter: Interpreter | None) -> Commit:
    try:
        found = [read(body) for body in written.bodies]
        if interpreter is None and any(isinstance(each, Rows) for each in found):
            raise Unreadable("rows of a table, and nobody here knows what they are")
    except Unreadable:
        log.exception(
            "%s in the log is not a commit that can be read; everything is loaded anew. [log-unreadable]", written.position
        )
        raise PositionGone(position=after) from None
    commits = [each for each in found if isinstance(each, Commit)]
    told = commits[0] if len(commits) == 1 else _joined(commits)
    rows = [each for each in found if isinstance(each, Rows)]
    return told if interpreter is None or not rows else interpreter(connection, rows, told)


def _joined(commits: Sequence[Commit]) -> Commit:
    """What several of them, or none, tell of one transaction."""
    return Commit(
        tuple(change for each in commits for change in each.changes),
        frozenset(channel for each in commits for channel in each.invalidated),
        next((each.origin for each in commits), None),
        tuple(order for each in commits for order in each.orders),
    )
