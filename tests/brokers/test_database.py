"""The database tier: what happens where a commit can't be written, is too large, or where there is no log at all."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sqla_realtime.brokers import database
from sqla_realtime.brokers.database import DatabaseBroker
from sqla_realtime.brokers.journals import journal_of
from sqla_realtime.brokers.tables import metadata
from sqla_realtime.commit import Commit, Event, Order
from sqla_realtime.errors import LogMissing, LogUnreachable, LogUnwritable
from sqla_realtime.history import Bounds
from tests.brokers.contract import commit, read
from tests.brokers.stage import DatabaseLog, database_log


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseLog]:
    with database_log(request.param, tmp_path) as log:
        yield log


def test_a_transaction_that_cannot_be_told_fails_and_says_what_is_missing(engine: Engine) -> None:
    broker = DatabaseBroker(lambda: engine)
    with engine.connect() as connection, pytest.raises(LogUnwritable, match=r"create_all\(engine\)"):
        broker.stage(commit(1), connection)


def test_where_there_are_no_tables_a_reader_says_so_and_finds_them_later(engine: Engine) -> None:
    async def scene() -> None:
        broker = DatabaseBroker(lambda: engine)
        with pytest.raises(LogMissing, match="create_all"):
            await broker.head()
        metadata.create_all(engine)
        assert (await broker.head()).offset == 0
        broker.close()

    asyncio.run(scene())


def test_a_log_that_does_not_answer_is_no_reason_to_wait_for_ever(engine: Engine) -> None:
    def lost() -> Engine:
        raise OSError("away")

    async def scene() -> None:
        broker = DatabaseBroker(lost, patience=0.05)
        with pytest.raises(LogUnreachable):
            await broker.head()
        ticket = broker.begin(commit(1))
        ticket.finish(committed=True)
        assert not await asyncio.to_thread(broker.settle, [ticket], 0.05)
        assert ticket.open
        broker.close()

    asyncio.run(scene())


def test_what_is_too_large_is_told_as_channels_that_have_changed(
    log: DatabaseLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(type(journal_of(log.engine.dialect.name)), "largest", 100)

    async def scene() -> None:
        start = await log.broker.head()
        log.write(commit(1, "c/" + "x" * 100)).commit()
        assert await read(log.broker, start, 1) == [Commit((), frozenset({"c/" + "x" * 100}))]

    asyncio.run(scene())
    assert "[commit-too-large]" in caplog.text


def test_bounds_are_those_that_were_set_last(log: DatabaseLog) -> None:
    async def scene() -> None:
        await log.broker.head()
        log.broker.configure(Bounds(count=2), patience=1.0)
        for number in range(5):
            log.write(commit(number)).commit()
        assert (await log.broker.start()).offset in (3, 5), "a boundary within the last two"
        assert log.broker._reader is not None
        assert log.broker._reader.bounds.count == 2

    asyncio.run(scene())


def test_what_is_only_said_does_not_pile_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAITING", 3)

    def lost() -> Engine:
        raise OSError("away")

    broker = DatabaseBroker(lost)
    said = Commit((), events=(Event("", "rooms/5", "typing", "1", "7"),))
    waiting = [broker.enter(said) for _ in range(3)]
    with pytest.raises(LogUnwritable, match="3 others wait"):
        broker.enter(said).result(0)
    waiting.append(broker.enter(Commit((), orders=(Order("revoke", "7"),))))
    assert not any(each.done() for each in waiting), "an order was lost"
    broker.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_connections_of_its_own(log: DatabaseLog) -> None:
    start = asyncio.run(log.broker.head())
    log.engine.dispose()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        verdict = 1
        try:
            log.write(commit(1)).commit()
            verdict = 0 if asyncio.run(read(log.broker, start, 1)) == [commit(1)] else 2
        finally:
            os._exit(verdict)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert asyncio.run(read(log.broker, start, 1)) == [commit(1)], "the parent's connection still works"
