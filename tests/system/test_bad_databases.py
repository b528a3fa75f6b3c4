"""What a database can be or become that is to have a log: each has a code and a remedy, costs no more than it must, and is over
when it is over."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.brokers import reader
from sqla_realtime.brokers.database import DatabaseBroker
from sqla_realtime.brokers.journals import journal_of, own_engine
from sqla_realtime.brokers.tables import log as log_table
from sqla_realtime.commit import Position
from sqla_realtime.errors import ConfigurationError, LogForbidden, LogMissing, LogTooNew, LogUnsuitable, LogUnwritable
from tests.brokers.contract import commit, gone, read, take
from tests.brokers.stage import DatabaseLog, database_log
from tests.support.models import Account, AccountOut, Page, PageOut, Project
from tests.support.scene import eventually

Make = Callable[..., Realtime]


@pytest.fixture(params=["sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseLog]:
    with database_log(request.param, tmp_path) as log:
        yield log


@pytest.fixture
def postgres() -> Iterator[DatabaseLog]:
    with database_log("postgres", Path()) as log:
        yield log


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


async def refused(broker: DatabaseBroker, error: type[ConfigurationError], remedy: str) -> None:
    with pytest.raises(error, match=remedy):
        await broker.head()


# What a reader finds.


def test_a_log_of_a_later_version(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        run(log.engine, "UPDATE realtime_tick SET version = version + 1")
        later = log.other()
        await refused(later, LogTooNew, r"version 2.* knows 1\.\nUpdate sqla_realtime")
        run(log.engine, "UPDATE realtime_tick SET version = version - 1")
        assert await later.head() == start

    asyncio.run(scene())


def test_a_server_that_is_too_old(postgres: DatabaseLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PGDialect, "_get_server_version_info", lambda *asked: (12, 22))
    asyncio.run(refused(postgres.broker, LogUnsuitable, r"PostgreSQL 12\.22 .*\nUse 13 or later"))


def test_a_database_that_can_only_be_read(log: DatabaseLog) -> None:
    async def scene() -> None:
        start = await log.broker.head()
        if log.engine.dialect.name == "sqlite":
            engine = create_engine(f"sqlite:///file:{log.engine.url.database}?mode=ro&uri=true")
            await refused(broker := DatabaseBroker(lambda: engine), LogForbidden, r"readonly.*\nLet it write ")
        else:
            name = log.engine.url.database
            run(log.engine, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            broker = log.other()
            await refused(broker, LogForbidden, r"read-only.*\n.* target_session_attrs=read-write")
            run(log.engine, "SET TRANSACTION READ WRITE", f"ALTER DATABASE {name} RESET default_transaction_read_only")
            assert await broker.head() == start
        broker.close()

    asyncio.run(scene())


RIGHTS = [(act, table) for table in ("realtime_log", "realtime_tick") for act in ("SELECT", "INSERT", "DELETE")]


@contextmanager
def role(owner: Engine, *rights: str) -> Iterator[Engine]:
    """An engine of somebody who may do just this."""
    name = "r_" + uuid.uuid4().hex
    run(owner, f"CREATE ROLE {name} LOGIN", *(f"GRANT {right} TO {name}" for right in rights))
    engine = create_engine(owner.url.set(username=name))
    try:
        yield engine
    finally:
        engine.dispose()
        run(owner, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_role_that_lacks_one_of_a_readers_rights_is_told_which(postgres: DatabaseLog) -> None:
    needed = [*RIGHTS, ("UPDATE", "realtime_tick")]
    with role(postgres.engine, *(f"{act} ON {table}" for act, table in needed)) as engine:
        name = engine.url.username
        for act, table in needed:
            run(postgres.engine, f"REVOKE {act} ON {table} FROM {name}")
            broker = DatabaseBroker(lambda: engine)
            asyncio.run(refused(broker, LogForbidden, rf"lacks {act} on {table}\.\nGRANT SELECT, INSERT, DELETE ON"))
            broker.close()
            run(postgres.engine, f"GRANT {act} ON {table} TO {name}")


def test_a_right_that_is_taken_away_later_is_a_right_that_it_lacks(postgres: DatabaseLog) -> None:
    with role(postgres.engine) as engine, engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            connection.execute(select(log_table))
        assert isinstance(journal_of("postgresql").explain(caught.value), LogForbidden)


def test_and_these_are_all_that_it_needs(postgres: DatabaseLog) -> None:
    async def scene(broker: DatabaseBroker, own: Engine) -> None:
        start = await broker.head()
        postgres.write(commit(1)).commit()
        assert await read(broker, start, 1) == [commit(1)]
        journal = journal_of("postgresql")
        with own.connect() as connection:
            journal.prepare(connection)
            run(postgres.engine, "UPDATE realtime_tick SET hi = '999999999'::xid8")
            assert journal.head(connection).epoch != start.epoch
            run(postgres.engine, "UPDATE realtime_tick SET at = at - 1000")
            assert not journal.purge(connection, 500.0)

    with role(postgres.engine, *(f"{act} ON {table}" for act, table in [*RIGHTS, ("UPDATE", "realtime_tick")])) as engine:
        broker, own = DatabaseBroker(lambda: engine), own_engine(engine)
        asyncio.run(scene(broker, own))
        broker.close()
        own.dispose()


def test_whoever_only_writes_wakes_others_with_no_other_right(
    postgres: DatabaseLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reader, "BUSY", 1e6)
    monkeypatch.setattr(reader, "IDLE", 1e6)

    async def scene(writer: DatabaseBroker, engine: Engine) -> None:
        async with aclosing(postgres.broker.follow(await postgres.broker.head())) as entries:
            for number in range(3):
                reading = asyncio.ensure_future(take(entries, 1))
                await asyncio.sleep(0)
                with engine.begin() as connection:
                    writer.stage(commit(number), connection)
                    ticket = writer.begin(commit(number))
                ticket.finish(committed=True)
                assert [entry.commit for entry in await reading] == [commit(number)]

    with role(postgres.engine, "INSERT ON realtime_log") as engine:
        writer = DatabaseBroker(lambda: engine)
        asyncio.run(scene(writer, engine))
        ticket = writer.begin(commit(1))
        assert not writer.settle([ticket], 20)
        writer.close()
    assert "[log-lost]" not in caplog.text


def test_a_reader_whose_log_is_taken_away_says_so_and_goes_on_when_it_is_back(
    postgres: DatabaseLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reader, "RETRY_CAP", 0.01)

    async def scene() -> None:
        async with aclosing(postgres.broker.follow(await postgres.broker.head())) as entries:
            postgres.write(commit(0)).commit()
            await take(entries, 1)
            reading = asyncio.ensure_future(take(entries, 1))
            run(postgres.engine, "ALTER TABLE realtime_tick RENAME TO elsewhere")
            running = postgres.broker._running()
            await eventually(lambda: isinstance(running.failure, LogMissing))
            run(postgres.engine, "ALTER TABLE elsewhere RENAME TO realtime_tick")
            postgres.write(commit(1)).commit()
            assert [entry.commit for entry in await reading] == [commit(1)]

    asyncio.run(scene())
    assert caplog.text.count("[log-lost]") == 1


# What a writer finds.


# Without a two-phase commit the one may have been committed already, which is what SQLAlchemy warns of.
@pytest.mark.filterwarnings("ignore:transaction already deassociated")
@pytest.mark.parametrize("both", [False, True])
def test_two_databases_and_one_log(tmp_path: Path, both: bool, realtime: Make) -> None:
    engines = [create_engine(f"sqlite:///{tmp_path / name}.db") for name in "ab"]
    for engine in engines:
        Page.metadata.create_all(engine)
    sessions = sessionmaker(binds={Page: engines[0], Project: engines[0], Account: engines[1]})
    made = realtime(broker="database")
    made.publish(Page, schema=PageOut, channel="pages", join=anyone)
    if both:
        made.publish(Account, schema=AccountOut, channel="accounts", join=anyone)
    made.enable(sessions)
    made.metadata.create_all(engines[0])

    def write() -> None:
        with sessions.begin() as session:
            session.add_all([Project(id=1), Account(id=1, bank=1, balance=1)])
            session.add(Page(project_id=1, title="here"))

    if both:
        with pytest.raises(LogUnwritable, match=r"no such table.*\nCreate its tables once"):
            write()
        with pytest.raises(LogUnsuitable, match=r"several databases.*\nMake a Realtime for each"):
            made.start()
    else:
        write()
        with engines[0].connect() as connection:
            assert connection.execute(select(func.count()).select_from(log_table)).scalar_one() == 1
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize("skew", [-7200, 7200], ids=["past", "future"])
def test_what_was_written_by_a_clock_that_was_wrong_is_kept_as_long_as_the_rest(log: DatabaseLog, skew: int) -> None:
    """A part in the middle of the log; the clock has been set right since."""

    async def scene() -> None:
        start = await log.broker.head()
        for number in range(1, 10):
            log.write(commit(number)).commit()
            await log.broker.head()
        moved = f"SET at = at + {skew} WHERE"
        run(log.engine, f"UPDATE realtime_log {moved} id BETWEEN 4 AND 6")
        run(log.engine, f"UPDATE realtime_tick {moved} last BETWEEN 4 AND 6")
        purge(log)
        later = log.other()
        assert await later.start() == start
        assert await read(later, start, 9) == [commit(number) for number in range(1, 10)]
        # When all of it is old nothing of it stays.
        run(log.engine, "UPDATE realtime_log SET at = at - 1000", "UPDATE realtime_tick SET at = at - 1000")
        purge(log)
        head = await log.other().head()
        assert await gone(log.other(), Position(start.epoch, head.offset - 2))

    asyncio.run(scene())


def purge(log: DatabaseLog) -> None:
    own = own_engine(log.engine)
    with own.connect() as connection:
        journal = journal_of(log.engine.dialect.name)
        journal.prepare(connection)
        for _ in range(3):
            journal.purge(connection, 500.0)
    own.dispose()
