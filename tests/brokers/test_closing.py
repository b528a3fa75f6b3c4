"""The last INSERT goes with the COMMIT: one message, and whatever ends the transaction otherwise forgets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from sqla_realtime.brokers.closing import last
from sqla_realtime.brokers.tables import metadata
from tests.support.databases import postgres_engine

HOSTILE = "'; $$ %s :x $q0$ \\'); DROP TABLE realtime_log; -- \N{SNOWMAN}"


@pytest.fixture
def engine() -> Iterator[Engine]:
    with postgres_engine() as engine:
        metadata.create_all(engine)
        yield engine


def bodies(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT body FROM realtime_log ORDER BY id")).scalars())


def begun(connection: Connection) -> Any:
    """A transaction that has sent something."""
    transaction = connection.begin()
    connection.execute(text("SELECT 1"))
    return transaction


def test_it_is_sent_with_the_commit_and_not_before(engine: Engine) -> None:
    with engine.connect() as connection:
        transaction = begun(connection)
        assert last(connection, HOSTILE, LookupError)
        assert connection.execute(text("SELECT count(*) FROM realtime_log")).scalar() == 0
        transaction.commit()
        # What is open from then on is a transaction like any other.
        with connection.begin():
            connection.execute(text("SELECT 1"))
    assert bodies(engine) == [HOSTILE]


def test_a_transaction_that_ends_otherwise_forgets_it(engine: Engine) -> None:
    with engine.connect() as connection:
        transaction = begun(connection)
        last(connection, "rolled back", LookupError)
        transaction.rollback()
        begun(connection).commit()
    connection = engine.connect()
    begun(connection)
    last(connection, "closed", LookupError)
    connection.close()
    with engine.connect() as connection:
        begun(connection).commit()

    assert bodies(engine) == []


def test_it_stays_with_its_rows_where_another_listener_has_the_commit_raise(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id int)"))

    @event.listens_for(engine, "commit")
    def refuse(connection: Connection) -> None:
        raise RuntimeError("not this one")

    with engine.connect() as connection:
        transaction = begun(connection)
        connection.execute(text("INSERT INTO mine VALUES (1)"))
        last(connection, "one", LookupError)
        with pytest.raises(RuntimeError):
            transaction.commit()
    event.remove(engine, "commit", refuse)
    # SQLAlchemy hands the connection on with the transaction still open on it.
    with engine.connect() as connection:
        transaction = begun(connection)
        last(connection, "two", LookupError)
        transaction.commit()
        rows = connection.execute(text("SELECT id FROM mine")).scalars().all()
    assert (len(rows), bodies(engine)) in ((1, ["one", "two"]), (0, ["two"]))


def test_where_it_fails_the_transaction_does_and_says_so(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id int); ALTER TABLE realtime_log RENAME TO elsewhere"))
    with engine.connect() as connection:
        transaction = begun(connection)
        connection.execute(text("INSERT INTO mine VALUES (1)"))
        last(connection, "x", LookupError)
        with pytest.raises(LookupError, match="realtime_log"):
            transaction.commit()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM mine")).scalar() == 0


def test_where_the_commit_fails_it_is_the_commits_own_error(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(text("INSERT INTO mine VALUES (1), (1)"))
        last(connection, "x", LookupError)
        with pytest.raises(IntegrityError):
            transaction.commit()
    with engine.connect() as connection:
        begun(connection).commit()
    assert bodies(engine) == []


def test_where_the_connection_is_lost_nobody_says_that_the_log_is_to_blame(engine: Engine) -> None:
    with engine.connect() as connection, engine.connect() as other:
        transaction = begun(connection)
        last(connection, "x", LookupError)
        number = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        other.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
        with pytest.raises(OperationalError):
            transaction.commit()
    assert bodies(engine) == []


def test_two_phases_and_autocommit_have_no_such_moment(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.begin_twophase()
        connection.execute(text("SELECT 1"))
        assert not last(connection, "x", LookupError)
    loose = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with loose.connect() as connection:
        begun(connection)
        assert not last(connection, "x", LookupError)
    loose.dispose()


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
def test_neither_have_async_drivers(engine: Engine, driver: str) -> None:
    async def scene() -> bool:
        made = create_async_engine(engine.url.set(drivername=driver))
        async with made.connect() as connection:
            await connection.execute(text("SELECT 1"))
            found = await connection.run_sync(last, "x", LookupError)
        await made.dispose()
        return found

    assert asyncio.run(scene()) is False


def test_nothing_is_wrapped_twice(engine: Engine) -> None:
    wrapped = []
    for _ in range(2):
        with engine.connect() as connection:
            transaction = begun(connection)
            last(connection, "x", LookupError)
            transaction.commit()
            wrapped.append(engine.dialect.do_commit)
    assert wrapped[0] is wrapped[1]
    assert bodies(engine) == ["x", "x"]
