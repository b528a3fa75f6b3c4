"""PostgreSQL through a real PgBouncer in transaction mode: the log keeps its contract, and nothing is left behind there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager

import pytest
from sqlalchemy import Engine, create_engine, text

from sqla_realtime.brokers import reader
from sqla_realtime.brokers.backend import Backend
from sqla_realtime.brokers.journals import own_engine
from tests.brokers.contract import BrokerContract, commit, read, take
from tests.brokers.stage import DatabaseLog, opened
from tests.support.databases import postgres_engine
from tests.support.pooler import pooler


@contextmanager
def pooled_engine(size: int) -> Iterator[tuple[Engine, str]]:
    """An engine on a new database through a pooler, as its applications must be made, and the way past the pooler."""
    with postgres_engine() as direct, pooler(direct.url, size) as url:
        engine = create_engine(url, pool_size=20, connect_args={"prepare_threshold": None})
        try:
            yield engine, direct.url.render_as_string(hide_password=False)
        finally:
            engine.dispose()


@contextmanager
def pooled_log() -> Iterator[DatabaseLog]:
    with pooled_engine(size=5) as (engine, _), opened(engine) as log:
        yield log


class TestPooledLog(BrokerContract):
    """Writers and readers all go through the pooler."""

    def new(self) -> AbstractContextManager[DatabaseLog]:
        return pooled_log()


@pytest.fixture
def pooled() -> Iterator[tuple[Engine, str]]:
    """One process of the server for everybody."""
    with pooled_engine(size=1) as found:
        yield found


SETTINGS = ("synchronous_commit", "enable_seqscan", "jit", "statement_timeout", "lock_timeout")


def left(engine: Engine) -> list[str]:
    """The settings that the next one finds."""
    with engine.connect() as connection:
        return [connection.execute(text(f"SHOW {name}")).scalar_one() for name in SETTINGS]


def test_readers_leave_nothing_behind_and_say_once_how_to_go_past_the_pooler(
    pooled: tuple[Engine, str], caplog: pytest.LogCaptureFixture
) -> None:
    engine, _ = pooled
    before = left(engine)

    async def scene(log: DatabaseLog) -> None:
        start = await log.broker.head()
        other = log.other()
        for number in range(10):  # psycopg would prepare a statement when it comes for the sixth time
            log.write(commit(number)).commit()
            assert (await other.head()).offset == (await log.broker.head()).offset == start.offset + number + 1
        log.broker._running().announce()
        assert await read(log.broker, start, 10) == await read(other, start, 10) == [commit(number) for number in range(10)]

    # With a URL and no more a reader's connections are made as psycopg makes them.
    with opened(engine, url=engine.url.render_as_string(hide_password=False)) as log:
        asyncio.run(scene(log))
        assert left(engine) == before
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM pg_listening_channels()")).scalar_one() == 0
    assert caplog.text.count("[log-pooled]") == 2, "once for each reader"
    assert "REALTIME_LOG_URL" in caplog.text
    assert "[log-lost]" not in caplog.text


def test_its_settings_hold_in_each_of_its_transactions(pooled: tuple[Engine, str]) -> None:
    engine, _ = pooled
    with engine.begin() as connection:
        connection.execute(text("SET synchronous_commit = off"))
    own = own_engine(engine)
    with own.connect() as connection:
        backend = Backend(connection)
        assert backend.pooled
        for _ in range(2):
            assert backend.run(text("SHOW synchronous_commit")).scalar_one() == "on"
    own.dispose()
    assert left(engine)[0] == "off"


def test_past_the_pooler_a_reader_hears_what_others_commit_through_it(
    pooled: tuple[Engine, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine, direct = pooled
    monkeypatch.setattr(reader, "BUSY", 1e6)
    monkeypatch.setattr(reader, "IDLE", 1e6)

    async def scene(log: DatabaseLog) -> None:
        other = log.other()
        async with aclosing(other.follow(await other.head())) as entries:
            for number in range(3):
                reading = asyncio.ensure_future(take(entries, 1))
                await asyncio.sleep(0)
                log.write(commit(number)).commit()
                assert [entry.commit for entry in await reading] == [commit(number)]

    # Whoever names no driver means the application's.
    with opened(engine, url=direct.replace("+psycopg", "")) as log:
        asyncio.run(scene(log))
    assert "[log-pooled]" not in caplog.text
