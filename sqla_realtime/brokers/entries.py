"""What was read from a database's log, as the entries that readers follow."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqla_realtime.brokers.journal import Written
from sqla_realtime.brokers.spelling import Unreadable, read
from sqla_realtime.commit import Commit, Entry, Position
from sqla_realtime.errors import PositionGone

log = logging.getLogger(__name__)


def entries_of(written: Sequence[Written], after: Position) -> list[Entry]:
    """Raises PositionGone where one of them is no commit that this version understands."""
    return [Entry(each.position, _commit(each, after)) for each in written]


def _commit(written: Written, after: Position) -> Commit:
    try:
        first, *more = [read(body.encode()) for body in written.bodies]
    except Unreadable:
        log.exception(
            "%s in the log is not a commit that can be read; everything is loaded anew. [log-unreadable]", written.position
        )
        raise PositionGone(position=after) from None
    if not more:
        return first
    changes = [*first.changes, *(change for each in more for change in each.changes)]
    orders = [*first.orders, *(order for each in more for order in each.orders)]
    return Commit(tuple(changes), first.invalidated.union(*(each.invalidated for each in more)), first.origin, tuple(orders))
