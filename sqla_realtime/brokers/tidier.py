"""Deletes what is old from a log, a portion at a time, and nothing as long as the database's clock can't say what is old."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import Connection

from sqla_realtime.brokers.journal import Journal

log = logging.getLogger(__name__)

# How long between two purges, and for how many seconds more than readers may come back what they need is kept.
TIDY, MARGIN = 10.0, 60.0


class Tidier:
    """Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + TIDY
        # By how much the database's clock was ahead of ours, which nobody sets, when it was looked at last.
        self._ahead: float | None = None

    def tidy(self, journal: Journal, connection: Connection, age: float) -> None:
        """Called at each look: a portion each time until there is nothing left, and then again after a while."""
        now = self._clock()
        if now < self._next:
            return
        keep = age + MARGIN
        ahead = journal.now(connection) - now
        jump = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if abs(jump) > MARGIN:
            # What was written before would look old, or as if it were still to come. By then it is old.
            log.warning("The database's clock has jumped by %.0f s; nothing is deleted for %.0f s. [clock-jumped]", jump, keep)
            self._next = now + keep
        elif not journal.purge(connection, keep):
            self._next = now + TIDY
