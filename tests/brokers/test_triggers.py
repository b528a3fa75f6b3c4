"""The triggers themselves: who may use them, what they spell, and that a transaction fails where its log can't be written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from sqla_realtime.brokers import tables
from sqla_realtime.brokers.triggers import DROP, Watched, attach, declare, declared, detach, missing, watched
from tests.support.databases import postgres_engine

# Names that have to be quoted, and columns that are called as the function's own variables.
NOTE = 'My"Note'


def note(without: tuple[str, ...] = ()) -> Table:
    """A table that is declared to be watched."""
    table = Table(
        NOTE,
        MetaData(),
        Column("id", Integer, primary_key=True),
        *(Column(name, String) for name in ("r", "body", "come", "many", "it's")),
    )
    declare(table, without)
    return table


@pytest.fixture
def database() -> Iterator[Engine]:
    with postgres_engine() as engine:
        tables.metadata.create_all(engine)
        yield engine


@pytest.fixture
def engine(database: Engine) -> Engine:
    note().metadata.create_all(database)
    return database


def bodies(connection: Connection) -> list[dict[str, object]]:
    """What is in the log."""
    return [json.loads(body) for body in connection.execute(text("SELECT body FROM realtime_log ORDER BY id")).scalars()]


def test_a_statement_is_one_row_with_the_rows_before_and_after(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("""INSERT INTO "My""Note" (id, r, body, "it's") VALUES (1, 'R', 'B', NULL)"""))
        connection.execute(text("""UPDATE "My""Note" SET come = 'C'"""))
        connection.execute(text("""DELETE FROM "My""Note" """))
    row = {"id": 1, "r": "R", "body": "B", "come": None, "many": None, "it's": None}
    head = {"v": 1, "schema": "public", "table": NOTE, "many": False}
    with engine.connect() as connection:
        assert bodies(connection) == [
            {**head, "gone": None, "come": [row]},
            {**head, "gone": [row], "come": [{**row, "come": "C"}]},
            {**head, "gone": [{**row, "come": "C"}], "come": None},
        ]


def test_columns_are_left_out_whatever_they_are_called(database: Engine) -> None:
    note(("it's", "body")).metadata.create_all(database)
    with database.begin() as connection:
        connection.execute(text("""INSERT INTO "My""Note" (id, body, "it's") VALUES (1, 'B', 'secret')"""))
        [body] = bodies(connection)
    assert body["come"] == [{"id": 1, "r": None, "come": None, "many": None}]


def test_a_statement_of_more_than_16_mib_is_told_without_its_rows(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("""INSERT INTO "My""Note" (id, body) VALUES (1, repeat('x', 17000000))"""))
        [body] = bodies(connection)
    assert (body["come"], body["many"]) == (None, True)


@pytest.fixture
def stranger(engine: Engine) -> Iterator[Engine]:
    """Somebody who may write the table and make others, and has no right to the log."""
    with engine.begin() as connection:
        connection.execute(text("DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"))
        connection.execute(text("""GRANT ALL ON "My""Note" TO stranger; CREATE SCHEMA other AUTHORIZATION stranger"""))
    found = create_engine(make_url(engine.url).set(username="stranger"))
    yield found
    found.dispose()
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY stranger"))


def test_who_writes_needs_no_right_to_the_log_and_can_not_put_himself_in_its_place(engine: Engine, stranger: Engine) -> None:
    with stranger.begin() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE realtime_log (body text)"))
        connection.execute(text("""INSERT INTO "My""Note" (id) VALUES (1)"""))
        assert connection.execute(text("SELECT count(*) FROM pg_temp.realtime_log")).scalar() == 0
    with engine.connect() as connection:
        assert len(bodies(connection)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT body FROM realtime_log",
        "INSERT INTO realtime_log (body) VALUES ('forged')",
        "CREATE TABLE other.page (id integer); CREATE TRIGGER t AFTER TRUNCATE ON other.page "
        "FOR EACH STATEMENT EXECUTE FUNCTION realtime_capture()",
    ],
)
def test_he_can_not_read_or_write_it_by_himself(stranger: Engine, statement: str) -> None:
    with stranger.begin() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text(statement))


def test_the_transaction_fails_where_the_log_is_missing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE realtime_log RENAME TO elsewhere"))
    with engine.begin() as connection, pytest.raises(ProgrammingError, match="realtime_log"):
        connection.execute(text("""INSERT INTO "My""Note" (id) VALUES (1)"""))


def test_they_are_found_made_again_and_taken_off(engine: Engine) -> None:
    wanted = Watched(NOTE)
    with engine.begin() as connection:
        assert watched(connection) == {("public", NOTE)}
        assert missing(connection, [wanted, Watched("other")]) == [Watched("other")]
        connection.execute(text("""DROP TRIGGER realtime_update ON "My""Note" """))
        assert missing(connection, [wanted]) == [wanted]
        for statement in (*attach(wanted), *attach(wanted)):
            connection.execute(text(statement))
        assert missing(connection, [wanted]) == []
        for statement in (*detach(wanted), *detach(wanted), DROP):
            connection.execute(text(statement))
        assert watched(connection) == set()
        assert connection.execute(text("SELECT count(*) FROM pg_proc WHERE proname = 'realtime_capture'")).scalar() == 0


def test_the_function_stays_while_a_table_is_watched(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(Exception, match="depend on it"):
        connection.execute(text(DROP))


def test_declaring_twice_makes_them_once_and_other_databases_have_none(database: Engine, tmp_path: object) -> None:
    table = note()
    declare(table)
    assert declared([table, Table("other", MetaData())]) == [Watched(NOTE)]
    table.metadata.create_all(database)
    sqlite = create_engine("sqlite://")
    table.metadata.create_all(sqlite)
    with database.connect() as connection, sqlite.connect() as other:
        assert watched(connection) == {("public", NOTE)}
        assert watched(other) == set()
    sqlite.dispose()
