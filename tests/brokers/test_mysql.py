"""The log on MySQL and MariaDB: the contract, and what is its own: a counter that is locked last, servers that are started
anew, and the mistake that the tests must find."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers import journals, mysql
from sqla_realtime.brokers.journal import Journal, Written
from sqla_realtime.brokers.mysql import MysqlJournal
from sqla_realtime.brokers.reader import IDLE
from sqla_realtime.commit import Change, Commit, Position
from sqla_realtime.errors import LogTooNew, LogUnsuitable, LogUnwritable
from tests.brokers.contract import BrokerContract, commit, gone, read, take
from tests.brokers.crowd import follow_while_killed
from tests.brokers.stage import DatabaseLog, DatabaseWriter, database_log
from tests.support.mariadb import Server, mysql_engine


class TestMysqlLog(BrokerContract):
    """The tier keeps the contract."""

    def new(self) -> AbstractContextManager[DatabaseLog]:
        return database_log("mysql", Path())


@pytest.fixture
def log() -> Iterator[DatabaseLog]:
    with database_log("mysql", Path()) as log:
        yield log


def run(log: DatabaseLog, *statements: str) -> None:
    with log.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


# Order.

WAITING = text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")


def until_it_waits(log: DatabaseLog, other: Future[None]) -> None:
    """Block until a writer waits for a lock, or need not wait for any."""
    end = time.monotonic() + 30
    with log.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not other.done() and connection.execute(WAITING).one().Value == "0":
            assert time.monotonic() < end
            time.sleep(0.01)  # between two looks; what is waited for is what they show


class Prepared(DatabaseWriter):
    """A transaction in the first of two phases."""

    def __init__(self, log: DatabaseLog, commit: Commit) -> None:
        self.connection = log.engine.connect()
        self.transaction = twophase = self.connection.begin_twophase()
        log.broker.stage(commit, self.connection)
        self.ticket = log.broker.begin(commit)
        twophase.prepare()


def slow_writer(log: DatabaseLog, slow: DatabaseWriter, start: Position) -> list[Commit]:
    """What is followed of commit(1), which was written long before it commits, and of another one that begins meanwhile."""

    async def scene() -> list[Commit]:
        async with aclosing(log.broker.follow(start)) as entries:
            with ThreadPoolExecutor(1) as pool:
                other = pool.submit(lambda: log.write(commit(2)).commit())
                await asyncio.to_thread(until_it_waits, log, other)
                try:
                    found = await take(entries, 1) if other.done() else []
                finally:
                    slow.commit()
            return [entry.commit for entry in [*found, *await take(entries, 2 - len(found))]]

    return asyncio.run(scene())


def test_a_slow_writer_is_neither_overtaken_nor_lost(log: DatabaseLog) -> None:
    start = asyncio.run(log.broker.head())
    assert slow_writer(log, log.write(commit(1)), start) == [commit(1), commit(2)]


def test_neither_is_one_that_commits_in_two_phases(log: DatabaseLog) -> None:
    start = asyncio.run(log.broker.head())
    assert slow_writer(log, Prepared(log, commit(1)), start) == [commit(1), commit(2)]


class ById(MysqlJournal):
    """The mistake: ids by AUTO_INCREMENT, which are given out before COMMIT, and whatever is above the last that was read."""

    insertion = Journal.insertion

    def _number(self, cursor: Any) -> None:
        """The column does it."""

    def head(self, connection: Connection) -> Position:
        epoch = super().head(connection).epoch
        return Position(epoch, connection.execute(text("SELECT coalesce(max(id), 0) FROM realtime_log")).scalar_one())

    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        rows = connection.execute(text("SELECT id, body FROM realtime_log WHERE id > :id ORDER BY id"), {"id": after.offset})
        return [Written(Position(after.epoch, row.id), [row.body]) for row in rows]


def test_the_tests_find_whoever_reads_by_id(log: DatabaseLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.brokers.contract.PATIENCE", 0.5)
    monkeypatch.setitem(journals._KINDS, "mysql", ById)
    start = asyncio.run(log.broker.head())
    with pytest.raises(TimeoutError):
        slow_writer(log, log.write(commit(1)), start)


def test_three_readers_that_are_killed_thirty_times_see_one_order_which_is_that_of_the_rows(
    log: DatabaseLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[int] = []

    class Known(MysqlJournal):
        def prepare(self, connection: Connection) -> None:
            super().prepare(connection)
            readers.append(connection.execute(text("SELECT connection_id()")).scalar_one())

    def kill(connection: Connection, chance: random.Random) -> int:
        if readers:
            with suppress(DBAPIError):  # it may have ended by itself
                connection.execute(text(f"KILL {readers.pop(chance.randrange(len(readers)))}"))
                return 1
        return 0

    monkeypatch.setitem(journals._KINDS, "mysql", Known)
    follow_while_killed(log, kill, "SELECT count(*) FROM realtime_log", "SELECT sleep(0.005)")


def test_a_savepoint_that_is_rolled_back_gives_its_number_back(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        with log.engine.begin() as connection:
            with connection.begin_nested() as savepoint:
                log.broker.stage(commit(1), connection)
                savepoint.rollback()
            log.broker.stage(commit(2), connection)
        assert await read(log.broker, start, 1) == [commit(2)]
        assert (await log.broker.head()).offset == start.offset + 1

    asyncio.run(scene())


def late_in_its_snapshot(log: DatabaseLog) -> None:
    """A transaction that has read, and whose commit then comes after another's, on a server that minds that."""
    strict = create_engine(log.engine.url)
    event.listen(strict, "connect", lambda own, record: own.query("SET SESSION innodb_snapshot_isolation = ON"))
    with strict.begin() as connection:
        connection.execute(text("SELECT count(*) FROM realtime_log"))
        log.write(commit(1)).commit()
        log.broker.stage(commit(2), connection)
    strict.dispose()


def test_what_a_transaction_has_read_does_not_keep_it_from_its_number(log: DatabaseLog) -> None:
    start = asyncio.run(log.broker.head())
    late_in_its_snapshot(log)
    assert asyncio.run(read(log.broker, start, 2)) == [commit(1), commit(2)]


def test_it_would_where_nothing_was_done_about_it(log: DatabaseLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql, "_UNISOLATED", mysql._COUNT)
    with pytest.raises(LogUnwritable, match="1020"):
        late_in_its_snapshot(log)


# The log's life.


def test_a_server_that_was_killed_is_another_epoch_and_is_followed_by_itself() -> None:
    own = Server()
    try:
        with mysql_engine(on=own) as engine:
            log = DatabaseLog(engine)

            async def scene() -> None:
                log.write(commit(1)).commit()
                before = await log.broker.head()
                own.kill()
                engine.dispose()
                own.start()
                after = await log.other().head()
                assert after.epoch != before.epoch
                assert await gone(log.broker, before)
                log.write(commit(2)).commit()
                assert await read(log.broker, after, 1) == [commit(2)]

            asyncio.run(scene())
            log.close()
    finally:
        own.close()


EMPTIED = "DELETE FROM realtime_tick", "DELETE FROM realtime_log"


@pytest.mark.parametrize("statements", [EMPTIED, EMPTIED[:1]], ids=["all", "the counter"])
def test_tables_that_were_emptied_are_another_epoch_and_are_written_again(
    log: DatabaseLog, statements: tuple[str, ...]
) -> None:
    async def scene() -> None:
        log.write(commit(1)).commit()
        before = await log.broker.head()
        run(log, *statements)
        log.write(commit(2)).commit()
        after = await log.other().head()
        assert after.epoch != before.epoch
        assert (await log.broker.head()) == after
        log.write(commit(3)).commit()
        assert await read(log.broker, Position(after.epoch, after.offset - 1), 2) == [commit(2), commit(3)]

    asyncio.run(scene())


@pytest.mark.parametrize("more", [0, 1, 4], ids=["shorter", "as long", "longer"])
def test_a_backup_that_was_put_back_is_another_epoch_for_whoever_was_there(log: DatabaseLog, more: int) -> None:
    async def scene() -> None:
        for number in range(2):
            log.write(commit(number)).commit()
        before = await log.broker.head()
        run(log, "DELETE FROM realtime_log WHERE id > 1", "UPDATE realtime_tick SET last = 1")
        for number in range(more):
            log.write(commit(10 + number)).commit()
        assert (await log.broker.head()).epoch != before.epoch

    asyncio.run(scene())


def journal(log: DatabaseLog, *calls: Any) -> MysqlJournal:
    """Have these called with a journal and a connection of its own."""
    made, engine = MysqlJournal(), journals.own_engine(log.engine)
    try:
        with engine.connect() as connection:
            made.prepare(connection)
            for call in calls:
                call(made, connection)
    finally:
        engine.dispose()
    return made


def test_what_is_purged_is_gone_and_nothing_else_and_nobody_waits_for_it(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        for number in range(1, 6):
            log.write(commit(number)).commit()
        run(log, "UPDATE realtime_log SET at = at - 1000 WHERE id <= 3")
        writer = log.write(commit(6))
        journal(log, lambda made, connection: made.purge(connection, 500.0))
        writer.commit()
        assert await gone(log.other(), start)
        left = Position(start.epoch, start.offset + 3)
        assert await log.other().start() == left
        assert await read(log.other(), left, 3) == [commit(4), commit(5), commit(6)]

    asyncio.run(scene())


def test_an_idle_reader_asks_one_question_less_than_five_times_a_second(log: DatabaseLog) -> None:
    asked: list[str] = []

    def look(made: MysqlJournal, connection: Connection) -> None:
        event.listen(connection.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
        for _ in range(3):
            made.head(connection)

    journal(log, look)
    assert (len(asked), IDLE > 0.2) == (3, True)


# Where it can't be kept.


@pytest.mark.parametrize(
    ("disturbance", "error", "says"),
    [
        (
            "ALTER TABLE realtime_log ENGINE = MyISAM",
            LogUnsuitable,
            "MyISAM.*\nWrite: ALTER TABLE realtime_log ENGINE = InnoDB",
        ),
        ("UPDATE realtime_tick SET version = 99", LogTooNew, "version 99"),
    ],
)
def test_tables_that_are_not_as_they_must_be(log: DatabaseLog, disturbance: str, error: type[Exception], says: str) -> None:
    run(log, disturbance)
    with pytest.raises(error, match=says):
        journal(log)


@pytest.mark.parametrize(("mariadb", "version", "wanted"), [(True, (10, 1, 9), "10.2.1"), (False, (8, 0, 12), "8.0.13")])
def test_a_server_that_is_too_old(log: DatabaseLog, mariadb: bool, version: tuple[int, ...], wanted: str) -> None:
    with log.engine.connect() as connection:
        connection.dialect.server_version_info = version
        connection.dialect.is_mariadb = mariadb  # type: ignore[attr-defined]
        with pytest.raises(LogUnsuitable, match=f"Use {wanted}"):
            MysqlJournal().prepare(connection)


def test_a_writer_needs_no_rights_but_those_that_are_named(log: DatabaseLog) -> None:
    user, name = f"w{time.monotonic_ns()}", log.engine.url.database
    run(log, f"CREATE USER {user}@localhost", f"GRANT INSERT ON {name}.realtime_log TO {user}@localhost")
    writer = create_engine(log.engine.url.set(username=user))
    try:
        with (
            writer.connect() as connection,
            pytest.raises(LogUnwritable, match=r"denied.*\n.*INSERT on realtime_log, SELECT and"),
        ):
            log.broker.stage(commit(1), connection)
        run(log, f"GRANT SELECT, UPDATE ON {name}.realtime_tick TO {user}@localhost")
        with writer.begin() as connection:
            log.broker.stage(commit(1), connection)
    finally:
        writer.dispose()
        run(log, f"DROP USER {user}@localhost")


def test_whoever_waits_too_long_for_the_counter_is_told(log: DatabaseLog) -> None:
    slow = log.write(commit(1))
    try:
        with log.engine.connect() as connection:
            connection.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
            with pytest.raises(LogUnwritable, match="Lock wait timeout"):
                log.broker.stage(commit(2), connection)
    finally:
        slow.commit()


def test_the_largest_commit_fits_into_a_packet(log: DatabaseLog) -> None:
    text = b'"' * ((MysqlJournal.largest - 1000) // 2)  # every one of them is escaped, and so is what escapes it
    told = Commit((Change("c", "create", "Row", "1", text),))

    async def scene() -> None:
        start = await log.broker.head()
        log.write(told).commit()
        assert await read(log.broker, start, 1) == [told]

    asyncio.run(scene())


def test_the_other_name_of_the_dialect_is_the_same_log() -> None:
    with mysql_engine("mariadb+pymysql") as engine:
        log = DatabaseLog(engine)

        async def scene() -> None:
            start = await log.broker.head()
            log.write(commit(1)).commit()
            assert await read(log.broker, start, 1) == [commit(1)]

        asyncio.run(scene())
        log.close()
