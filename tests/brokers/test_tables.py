"""The tables of the log: made by create_all on every kind of database, beside the application's own."""

from __future__ import annotations

import time

from sqlalchemy import Engine, inspect, literal, select

from sqla_realtime import Realtime
from sqla_realtime.brokers.tables import log, metadata


def test_they_are_made_once_and_clash_with_nobody(engine: Engine) -> None:
    for _ in range(2):
        metadata.create_all(engine)
    assert {"realtime_log", "realtime_tick"} <= set(inspect(engine).get_table_names())
    assert set(metadata.tables) == {"realtime_log", "realtime_tick"}


def test_a_row_knows_when_and_by_whom_it_was_written(engine: Engine) -> None:
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(log.insert().values(body="{}"))
        age, xid = connection.execute(select(literal(time.time()) - log.c.at, log.c.xid)).one()
    assert abs(age) < 60
    assert int(xid) != 0


def test_a_realtime_hands_them_out() -> None:
    assert Realtime().metadata is metadata
