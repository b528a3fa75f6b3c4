"""The statements of the log on PostgreSQL: what they cost does not grow with the log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from sqla_realtime.brokers.journal import Journal
from sqla_realtime.brokers.ticks import BASE, READ, TICK
from tests.brokers.stage import DatabaseLog, database_log


@pytest.fixture
def log() -> Iterator[DatabaseLog]:
    with database_log("postgres", Path()) as log:
        yield log


def run(log: DatabaseLog, statement: str) -> None:
    with log.engine.begin() as connection:
        connection.execute(text(statement))


PLANNED = (BASE, TICK, READ)


def test_what_a_position_costs_does_not_grow_with_the_log(log: DatabaseLog) -> None:
    asyncio.run(log.broker.head())
    columns = "version, epoch, place, salt, at, lo, hi, xip"
    many = f"SELECT n, n, {columns} FROM realtime_tick, generate_series(1, 5000) n"  # noqa: S608 - our own
    run(log, f"INSERT INTO realtime_tick (tick, last, {columns}) {many}")

    old = "SELECT (3 + n % 700)::text::xid8, repeat('x', 300) FROM generate_series(1, 50000) AS n"
    run(log, f"INSERT INTO realtime_log (xid, body) {old}")

    def explain(made: Journal, connection: Connection) -> None:
        connection.exec_driver_sql("VACUUM ANALYZE realtime_log")
        values = {"offset": 4999, "known": 1, "salt": 1, "base": 4999, "most": 10}
        base, tick, read_ = ("\n".join(connection.execute(text(f"EXPLAIN {each}"), values).scalars()) for each in PLANNED)
        assert "Index Scan Backward using realtime_tick_last" in base, base
        assert "Sort" not in base, base
        for plan in (tick, read_):
            assert re.search(r"Index Cond: .*xid >= ", plan), plan
            assert not re.search(r"Filter: .*xid >= ", plan), plan

    # The reader's own connection has its own settings.
    log.broker._running().ask(explain).result(20)
