"""The log on PostgreSQL: the contract, and what is its own: late commits, long transactions, many readers, and two mistakes
that the tests must find."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, aclosing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from sqla_realtime.brokers import journals, reader
from sqla_realtime.brokers.journal import Written
from sqla_realtime.brokers.postgres import PostgresJournal
from sqla_realtime.brokers.reader import IDLE
from sqla_realtime.commit import Commit, Position
from sqla_realtime.errors import LogUnwritable
from tests.brokers.contract import BrokerContract, commit, gone, read, take
from tests.brokers.crowd import follow_while_killed
from tests.brokers.stage import DatabaseLog, database_log


class TestPostgresLog(BrokerContract):
    """The tier keeps the contract."""

    def new(self) -> AbstractContextManager[DatabaseLog]:
        return database_log("postgres", Path())


@pytest.fixture
def log() -> Iterator[DatabaseLog]:
    with database_log("postgres", Path()) as log:
        yield log


# Lateness.


def slow_writer(log: DatabaseLog) -> list[Commit]:
    """What is followed of a transaction that has written long before it commits, and of others meanwhile."""

    async def scene() -> list[Commit]:
        start = await log.broker.head()
        slow = log.write(commit(1))
        log.write(commit(2)).commit()
        async with aclosing(log.broker.follow(start)) as entries:
            found = await take(entries, 1)
            slow.commit()
            log.write(commit(3)).commit()
            found += await take(entries, 2)
        return [entry.commit for entry in found]

    return asyncio.run(scene())


def test_a_slow_writer_keeps_nobody_waiting_and_is_not_lost(log: DatabaseLog) -> None:
    assert slow_writer(log) in ([commit(2), commit(1), commit(3)], [commit(2), commit(3), commit(1)])


def test_neither_does_a_long_transaction_that_writes_no_event(log: DatabaseLog) -> None:
    with log.engine.begin() as other:
        other.execute(text("SELECT pg_current_xact_id()"))
        assert slow_writer(log)[0] == commit(2)


class ById(PostgresJournal):
    """The first mistake: whatever has a higher id than the last that was read. Ids are given out before COMMIT."""

    def head(self, connection: Connection) -> Position:
        epoch = super().head(connection).epoch
        return Position(epoch, connection.execute(text("SELECT coalesce(max(id), 0) FROM realtime_log")).scalar_one())

    def read(self, connection: Connection, after: Position) -> Sequence[Written]:
        rows = connection.execute(text("SELECT id, body FROM realtime_log WHERE id > :id ORDER BY id"), {"id": after.offset})
        return [Written(Position(after.epoch, row.id), [row.body]) for row in rows]


class BelowOldest(PostgresJournal):
    """The second mistake: nothing before every older transaction has ended. A long one holds all others back."""

    def head(self, connection: Connection) -> Position:
        if connection.execute(text("SELECT pg_snapshot_xip(pg_current_snapshot()) LIMIT 1")).first() is None:
            return super().head(connection)
        epoch, last = connection.execute(text("SELECT epoch, last FROM realtime_tick ORDER BY tick DESC LIMIT 1")).one()
        return Position(epoch, last)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setitem(journals._KINDS, "postgresql", request.param)


@pytest.mark.parametrize("planted", [ById, BelowOldest], indirect=True)
@pytest.mark.usefixtures("planted")
def test_the_tests_find_both(log: DatabaseLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.brokers.contract.PATIENCE", 0.5)
    with pytest.raises(TimeoutError):
        slow_writer(log)


# Order, and readers that are killed.


def test_three_readers_that_are_killed_thirty_times_see_one_order_which_is_that_of_the_rows(log: DatabaseLog) -> None:
    readers = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sqla_realtime' AND datname = current_database()"

    def kill(connection: Connection, chance: random.Random) -> int:
        found = connection.execute(text(readers)).scalars().all()
        ended = (
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid}).scalar_one()
            for pid in chance.sample(found, min(1, len(found)))
        )
        return sum(ended)

    follow_while_killed(log, kill, "SELECT pg_current_xact_id()", "SELECT pg_sleep(0.005)")


def test_two_transactions_at_once_are_each_whole(log: DatabaseLog) -> None:
    """Their rows lie between each other's: several texts of one transaction are one commit."""

    async def scene() -> None:
        start = await log.broker.head()
        one, two = log.write(commit(1)), log.write(commit(2))
        log.broker.stage(commit(3), one.connection)
        log.broker.stage(commit(4), two.connection)
        two.commit()
        one.commit()
        merged = [Commit(commit(a).changes + commit(b).changes) for a, b in ((1, 3), (2, 4))]
        assert sorted(await read(log.broker, start, 2), key=lambda each: each.changes[0].id) == merged

    asyncio.run(scene())


# The log's life.


def test_positions_outlive_every_process(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        log.write(commit(1)).commit()
        log.broker.close()
        later = log.other()
        log.write(commit(2)).commit()
        assert await later.start() == start
        assert await read(later, start, 2) == [commit(1), commit(2)]

    asyncio.run(scene())


def run(log: DatabaseLog, *statements: str) -> None:
    with log.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def journal(log: DatabaseLog, *calls: Any) -> None:
    """Have these called with a journal and a connection of its own."""
    made = PostgresJournal()
    engine = journals.own_engine(log.engine)
    with engine.connect() as connection:
        made.prepare(connection)
        for call in calls:
            call(made, connection)
    engine.dispose()


def test_what_is_purged_is_gone_and_nothing_else(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        for number in range(1, 6):
            log.write(commit(number)).commit()
            await log.broker.head()
        run(log, "UPDATE realtime_tick SET at = at - 1000 WHERE last <= 3")
        left = 5
        while left > 2:  # as long as any transaction of the server is older, some stay
            journal(log, lambda made, connection: made.purge(connection, 500.0))
            with log.engine.connect() as connection:
                left = connection.execute(text("SELECT count(*) FROM realtime_log")).scalar_one()
        assert left == 2
        assert await gone(log.other(), start)
        assert await read(log.other(), Position(start.epoch, start.offset + 3), 2) == [commit(4), commit(5)]

    asyncio.run(scene())


def test_rows_that_somebody_has_deleted_are_a_gap_and_no_silence(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        log.write(commit(1)).commit()
        await log.broker.head()
        run(log, "TRUNCATE realtime_log")
        assert await gone(log.other(), start)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "disturbance",
    [
        "TRUNCATE realtime_log, realtime_tick",
        "UPDATE realtime_tick SET place = 'another server' WHERE tick = (SELECT max(tick) FROM realtime_tick)",
        "UPDATE realtime_tick SET hi = '999999999'::xid8",
    ],
    ids=["emptied", "another server", "numbers that went back"],
)
def test_a_log_of_another_history_is_another_epoch(log: DatabaseLog, disturbance: str) -> None:
    async def scene() -> None:
        log.write(commit(1)).commit()
        before = await log.broker.head()
        run(log, disturbance)
        later = log.other()
        after = await later.head()
        assert after.epoch != before.epoch
        log.write(commit(2)).commit()
        assert await read(later, after, 1) == [commit(2)]
        assert await gone(later, before)

    asyncio.run(scene())


def test_a_boundary_that_was_taken_back_is_noticed_by_whoever_has_seen_it(log: DatabaseLog) -> None:
    async def scene() -> None:
        async with aclosing(log.broker.follow(await log.broker.head())) as entries:
            log.write(commit(1)).commit()
            [entry] = await take(entries, 1)
            run(log, "UPDATE realtime_tick SET salt = salt + 1")
            assert (await log.broker.head()).epoch != entry.position.epoch

    asyncio.run(scene())


def test_so_it_is_by_whoever_has_only_asked_where_the_end_is(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        log.write(commit(1)).commit()
        before = await log.broker.head()
        assert before.offset == start.offset + 1
        run(log, "DELETE FROM realtime_tick WHERE tick = (SELECT max(tick) FROM realtime_tick)")
        assert (await log.broker.head()).epoch != before.epoch

    asyncio.run(scene())


def test_an_idle_reader_asks_less_than_five_times_a_second(log: DatabaseLog) -> None:
    asked: list[object] = []
    engine = journals.own_engine(log.engine)
    event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    made = PostgresJournal()
    with engine.connect() as connection:
        made.prepare(connection)
        asked.clear()
        for _ in range(3):
            made.head(connection)
    engine.dispose()
    assert (len(asked), IDLE > 0.2) == (3, True)


def test_a_writer_needs_no_right_but_to_insert(log: DatabaseLog) -> None:
    role = "w_" + uuid.uuid4().hex
    run(log, f"CREATE ROLE {role}")
    try:
        with log.engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text(f"SET LOCAL ROLE {role}"))
            log.broker.stage(commit(1), connection)
            with pytest.raises(LogUnwritable, match=r"permission denied.*\n.*needs INSERT"):
                transaction.commit()
        run(log, f"GRANT INSERT ON realtime_log TO {role}")
        with log.engine.begin() as connection:
            connection.execute(text(f"SET LOCAL ROLE {role}"))
            log.broker.stage(commit(1), connection)
    finally:
        run(log, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_what_another_process_commits_wakes_a_reader_that_would_look_much_later(
    log: DatabaseLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BUSY", 1e6)
    monkeypatch.setattr(reader, "IDLE", 1e6)

    async def scene() -> None:
        other = log.other()
        async with aclosing(other.follow(await other.head())) as entries:
            for number in range(3):
                reading = asyncio.ensure_future(take(entries, 1))
                await asyncio.sleep(0)
                log.write(commit(number)).commit()
                assert [entry.commit for entry in await reading] == [commit(number)]

    asyncio.run(scene())
