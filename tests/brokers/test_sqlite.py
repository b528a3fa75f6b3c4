"""The log in an SQLite file: the contract, and what is its own: ids that are never used again, and files that are put back."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, aclosing
from pathlib import Path

import pytest
from sqlalchemy import event, text

from sqla_realtime.brokers.counted import READ
from sqla_realtime.brokers.journals import own_engine
from sqla_realtime.brokers.sqlite import SqliteJournal
from sqla_realtime.commit import Position
from sqla_realtime.errors import PositionGone
from tests.brokers.contract import BrokerContract, commit, gone, read, take
from tests.brokers.stage import DatabaseLog, database_log


class TestSqliteLog(BrokerContract):
    """The tier keeps the contract."""

    @pytest.fixture(autouse=True)
    def in_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def new(self) -> AbstractContextManager[DatabaseLog]:
        return database_log("sqlite", self.folder)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DatabaseLog]:
    with database_log("sqlite", tmp_path) as log:
        yield log


def run(log: DatabaseLog, *statements: str) -> None:
    with log.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_what_others_write_is_followed_in_one_order(log: DatabaseLog) -> None:
    async def scene() -> None:
        brokers = [log.broker, log.other(), log.other()]
        start = await log.broker.head()

        def write(first: int) -> None:
            for number in range(first, first + 30):
                log.write(commit(number)).commit()

        threads = [threading.Thread(target=write, args=(100 * number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        first, *others = await asyncio.gather(*(read(broker, start, 90) for broker in brokers))
        for thread in threads:
            thread.join()
        assert all(other == first for other in others)
        numbers = [int(each.changes[0].id) for each in first]
        for base in (0, 100, 200):
            assert [each for each in numbers if base <= each < base + 100] == list(range(base, base + 30))

    asyncio.run(scene())


def test_positions_outlive_every_process_and_many_are_read_in_parts(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        with log.engine.begin() as connection:
            for number in range(READ + 10):
                log.broker.stage(commit(number), connection)
        log.broker.close()
        later = log.other()
        assert await later.start() == start
        assert await read(later, start, READ + 10) == [commit(number) for number in range(READ + 10)]

    asyncio.run(scene())


def test_rows_that_somebody_has_deleted_are_a_gap_and_no_silence(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        for number in range(1, 6):
            log.write(commit(number)).commit()
        run(log, "DELETE FROM realtime_log WHERE id = 3")
        async with aclosing(log.other().follow(start)) as entries:
            assert [entry.commit for entry in await take(entries, 2)] == [commit(1), commit(2)]
            with pytest.raises(PositionGone):
                await take(entries, 1)

    asyncio.run(scene())


def test_what_is_purged_is_gone_and_its_numbers_are_not_used_again(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        for number in range(1, 6):
            log.write(commit(number)).commit()
        run(log, "UPDATE realtime_log SET at = at - 1000")
        journal, engine = SqliteJournal(), own_engine(log.engine)
        with engine.connect() as connection:
            journal.prepare(connection)
            assert not journal.purge(connection, 500.0)
        engine.dispose()
        assert await gone(log.other(), start)
        assert await log.other().start() == Position(start.epoch, start.offset + 5)
        log.write(commit(6)).commit()
        assert await read(log.other(), Position(start.epoch, start.offset + 5), 1) == [commit(6)]

    asyncio.run(scene())


@pytest.mark.parametrize("more", [0, 3], ids=["shorter", "as long, with others"])
def test_a_file_that_was_put_back_is_another_epoch_for_whoever_was_there(log: DatabaseLog, more: int) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        async with aclosing(log.broker.follow(start)) as entries:
            log.write(commit(1)).commit()
            await take(entries, 1)
            for number in (2, 3):
                log.write(commit(number)).commit()
            [*_, last] = await take(entries, 2)
            run(log, "DELETE FROM realtime_log WHERE id > 1", "UPDATE sqlite_sequence SET seq = 1")
            for number in range(more):
                log.write(commit(10 + number)).commit()
            assert (await log.broker.head()).epoch != last.position.epoch

    asyncio.run(scene())


@pytest.mark.parametrize("more", [1, 2, 5], ids=["shorter", "as long", "longer"])
def test_so_it_is_for_a_reader_that_has_only_asked_where_the_end_is(log: DatabaseLog, more: int) -> None:
    async def scene() -> None:
        for number in range(2):
            log.write(commit(number)).commit()
        before = await log.broker.head()
        run(log, "DELETE FROM realtime_log", "UPDATE sqlite_sequence SET seq = 0")
        for number in range(more):
            log.write(commit(10 + number)).commit()
        assert (await log.broker.head()).epoch != before.epoch

    asyncio.run(scene())


def put_back(file: Path, backup: Path) -> None:
    """Replace a database by what it was before its log had anything."""
    with sqlite3.connect(file) as source, sqlite3.connect(backup) as target:
        source.backup(target)
        target.execute("DELETE FROM realtime_log")
        target.execute("UPDATE sqlite_sequence SET seq = 0")
    source.close()
    target.close()
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    backup.replace(file)


def test_what_else_is_attached_is_no_place_for_the_log(log: DatabaseLog, tmp_path: Path) -> None:
    event.listen(log.engine, "connect", lambda made, record: made.execute(f"ATTACH '{tmp_path / 'other.db'}' AS other"))

    async def scene() -> None:
        start = await log.broker.head()
        log.write(commit(1)).commit()
        assert await read(log.other(), start, 1) == [commit(1)]

    asyncio.run(scene())


def test_a_file_that_has_taken_the_place_of_the_database_is_read(log: DatabaseLog, tmp_path: Path) -> None:
    async def scene() -> None:
        async with aclosing(log.broker.follow(await log.broker.head())) as entries:
            log.write(commit(1)).commit()
            [before] = await take(entries, 1)
            log.engine.dispose()
            put_back(Path(log.engine.url.database or ""), tmp_path / "backup.db")
            with pytest.raises(PositionGone):
                await take(entries, 1)
            after = await log.broker.head()
            assert after.epoch != before.position.epoch
            log.write(commit(2)).commit()
            assert await read(log.broker, after, 1) == [commit(2)]

    asyncio.run(scene())
