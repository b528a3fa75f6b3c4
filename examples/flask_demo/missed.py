"""How many commits of a channel lie between two positions: read from the log itself, not asked of the broadcaster."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from sqlalchemy import Engine

from sqla_realtime import Position
from sqla_realtime.brokers.database import DatabaseBroker
from sqla_realtime.errors import PositionGone


def count(engine: Engine, channel: str, after: Position, until: Position) -> int | None:
    """None where the log cannot say, and readers are given all rows: it does not reach so far, or it is another one."""
    log = DatabaseBroker(lambda: engine)
    try:
        return asyncio.run(_count(log, channel, after, until))
    except PositionGone:
        return None
    finally:
        log.close()


async def _count(log: DatabaseBroker, channel: str, after: Position, until: Position) -> int | None:
    head = await log.head()
    if until.epoch != after.epoch or until.epoch != head.epoch or until.offset > head.offset:
        return None
    found = 0
    async with aclosing(log.follow(after)) as entries:
        while after.offset < until.offset:
            after, commit = await anext(entries)
            if commit.invalidated:
                return None
            found += any(change.channel == channel for change in commit.changes)
    return found
