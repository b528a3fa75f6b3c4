"""What counted logs share: which of their incarnations it is, told by the last row that was known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from sqla_realtime.commit import Position
from tests.brokers.contract import commit, gone, read
from tests.brokers.stage import DatabaseLog, database_log


@pytest.fixture(params=["sqlite", "mysql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseLog]:
    with database_log(request.param, tmp_path) as log:
        yield log


def run(log: DatabaseLog, statement: str, **values: object) -> None:
    with log.engine.begin() as connection:
        connection.execute(text(statement), values)


def test_an_epoch_that_another_reader_has_begun_is_taken_as_it_is(log: DatabaseLog) -> None:
    async def scene() -> None:
        readers = [log.broker, log.other(), log.other()]
        log.write(commit(1)).commit()
        before = {await reader.head() for reader in readers}
        run(log, "DELETE FROM realtime_tick")
        after = {await reader.head() for reader in readers}
        assert (len(before), len(after)) == (1, 1)
        assert before != after

    asyncio.run(scene())


def test_an_epoch_that_has_come_back_is_not(log: DatabaseLog) -> None:
    """A backup from before the last time that one was put back."""

    async def scene() -> None:
        first = await log.broker.head()
        run(log, "UPDATE realtime_tick SET epoch = 'other'")
        assert (await log.broker.head()).epoch == "other"
        log.write(commit(1)).commit()
        run(log, "UPDATE realtime_tick SET epoch = :epoch", epoch=first.epoch)
        assert (await log.broker.head()).epoch not in ("other", first.epoch)
        assert await gone(log.broker, first)

    asyncio.run(scene())


def test_a_row_that_is_missing_is_a_gap_and_no_silence(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        for number in range(3):
            log.write(commit(number)).commit()
        run(log, "DELETE FROM realtime_log WHERE id = 2")
        # What comes before it is still told.
        assert await read(log.other(), start, 1) == [commit(0)]
        assert await gone(log.other(), Position(start.epoch, 1))

    asyncio.run(scene())
