"""The reader's thread: it comes back when the database was away, and nothing that it can't read stops it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from sqla_realtime.brokers import reader as reader_module
from sqla_realtime.brokers import tidier
from sqla_realtime.brokers.journal import Journal
from sqla_realtime.brokers.sqlite import SqliteJournal
from sqla_realtime.brokers.tables import log as log_table
from sqla_realtime.errors import PositionGone
from tests.brokers.contract import commit, take
from tests.brokers.stage import DatabaseLog, database_log
from tests.support.scene import eventually


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DatabaseLog]:
    with database_log("sqlite", tmp_path) as log:
        yield log


def test_a_lost_connection_is_made_again_and_nothing_is_missed(
    log: DatabaseLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reader_module, "RETRY_CAP", 0.01)
    faults = ["one", "two"]
    original = reader_module.own_engine

    def own_engine(engine: Engine, *how: Any) -> Engine:
        if faults:
            raise OperationalError(faults.pop(), None, OSError())
        return original(engine, *how)

    monkeypatch.setattr(reader_module, "own_engine", own_engine)

    async def scene() -> None:
        async with aclosing(log.broker.follow(await log.broker.head())) as entries:
            log.write(commit(1)).commit()
            await take(entries, 1)
            await eventually(lambda: log.broker._running().failure is None)  # it has looked once, and is back
            faults.extend(["three", "four"])
            future = log.broker._running().ask(fail_once())
            log.write(commit(2)).commit()
            assert [entry.commit for entry in await take(entries, 1)] == [commit(2)]
            assert await asyncio.wrap_future(future) == "answered"

    asyncio.run(scene())
    assert caplog.text.count("[log-lost]") == 2, "one for each time that it was away"


def fail_once() -> Any:
    tries: list[int] = []

    def question(journal: Journal, connection: Connection) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("lost", None, OSError())
        return "answered"

    return question


def test_a_question_that_is_wrong_is_its_own_trouble(log: DatabaseLog) -> None:
    async def scene() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wrap_future(log.broker._running().ask(lambda journal, connection: 1 // 0))
        assert (await log.broker.head()).offset == 0

    asyncio.run(scene())


@pytest.mark.parametrize("body", ["", "[]", '{"v": 99}'])
def test_whoever_comes_to_what_cannot_be_read_begins_behind_it(log: DatabaseLog, body: str) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        async with aclosing(log.broker.follow(start)) as entries:
            log.write(commit(1)).commit()
            await take(entries, 1)
            with log.engine.begin() as connection:
                connection.execute(log_table.insert().values(body=body))
            with pytest.raises(PositionGone):
                await take(entries, 1)
        async with aclosing(log.broker.follow(await log.broker.head())) as entries:
            log.write(commit(3)).commit()
            assert [entry.commit for entry in await take(entries, 1)] == [commit(3)]

    asyncio.run(scene())


def test_it_looks_only_while_somebody_follows(log: DatabaseLog, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    original = reader_module.Reader._catch_up
    monkeypatch.setattr(reader_module.Reader, "_catch_up", lambda *call: looked.append(original(*call)))

    async def scene() -> None:
        for _ in range(5):
            start = await log.broker.head()
        assert looked == []
        log.write(commit(1)).commit()
        async with aclosing(log.broker.follow(start)) as entries:
            await take(entries, 1)

    asyncio.run(scene())


def test_it_ends_when_it_is_closed(log: DatabaseLog) -> None:
    asyncio.run(log.broker.head())
    thread = log.broker._running()._thread
    log.broker.close()
    assert not thread.is_alive()


def test_what_is_old_is_purged_in_portions_until_nothing_is_left(log: DatabaseLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidier, "TIDY", 0.0)
    portions = [False, True, True]
    ages: list[float] = []
    done = threading.Event()

    def purge(self: SqliteJournal, connection: Connection, age: float) -> bool:
        ages.append(age)
        if portions:
            return portions.pop()
        done.set()
        return False

    monkeypatch.setattr(SqliteJournal, "purge", purge)

    async def scene() -> None:
        async with aclosing(log.broker.follow(await log.broker.head())) as entries:
            reading = asyncio.ensure_future(anext(entries))
            await asyncio.to_thread(done.wait, 20)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(scene())
    assert set(ages) == {log.broker._running().bounds.age + tidier.MARGIN}


def test_whoever_asks_on_and_on_keeps_nobody_from_commits(log: DatabaseLog) -> None:
    async def scene() -> None:
        async with aclosing(log.broker.follow(await log.broker.head())) as entries:
            reader, going = log.broker._running(), [True]

            def again(*asked: Any) -> None:
                if going:
                    reader.ask(again)

            log.write(commit(1)).commit()
            await take(entries, 1)
            reader.ask(again)
            log.write(commit(2)).commit()
            try:
                assert [entry.commit for entry in await take(entries, 1)] == [commit(2)]
            finally:
                going.clear()

    asyncio.run(scene())
