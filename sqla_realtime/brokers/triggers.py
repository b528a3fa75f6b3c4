"""Triggers that put what anybody writes into a table into the log, on PostgreSQL: raw SQL, other languages, cascades.

One function serves every table. A statement is one row of the log: the table's rows before and after it, as JSON, written by
the transaction itself. It says nothing of channels; who reads the log makes of it what each channel may see.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, event, text

FUNCTION = "realtime_capture"
# The key of ``Table.info`` under which it is kept that a table is watched.
INFO = "sqla_realtime_watched"

_EVENTS = {
    "insert": "REFERENCING NEW TABLE AS came",
    "update": "REFERENCING OLD TABLE AS went NEW TABLE AS came",
    "delete": "REFERENCING OLD TABLE AS went",
    "truncate": "",
}
# It runs with the rights of its owner, so that who writes needs none on the log: every name that it looks up is fixed when it
# is made, and nobody else may put it on a table. More than ten thousand rows, or 16 MiB, are told as "rows of this table
# changed". Values are spelled as they are read back, whatever the writer's settings are.
_BODY = """
DECLARE
    most CONSTANT integer := 10000;
    many boolean := TG_OP = 'TRUNCATE';
    gone json;
    come json;
    body text;
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        SELECT count(*) > most INTO many FROM (SELECT FROM went LIMIT most + 1) AS rows;
        IF NOT many THEN
            IF TG_NARGS = 0 THEN SELECT json_agg(r.*) INTO gone FROM went AS r;
            ELSE SELECT json_agg(to_jsonb(r.*) - TG_ARGV) INTO gone FROM went AS r; END IF;
        END IF;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') AND NOT many THEN
        SELECT count(*) > most INTO many FROM (SELECT FROM came LIMIT most + 1) AS rows;
        IF NOT many THEN
            IF TG_NARGS = 0 THEN SELECT json_agg(r.*) INTO come FROM came AS r;
            ELSE SELECT json_agg(to_jsonb(r.*) - TG_ARGV) INTO come FROM came AS r; END IF;
        END IF;
    END IF;
    IF NOT many AND gone IS NULL AND come IS NULL THEN
        RETURN NULL;
    END IF;
    many := many OR coalesce(octet_length(gone::text), 0) + coalesce(octet_length(come::text), 0) > 16777216;
    IF many THEN
        gone := NULL;
        come := NULL;
    END IF;
    body := json_build_object(
        'v', 1, 'schema', TG_TABLE_SCHEMA, 'table', TG_TABLE_NAME, 'gone', gone, 'come', come, 'many', many
    );
    INSERT INTO realtime_log (body) VALUES (body);
    RETURN NULL;
END
"""
# The schema of the log is the one where the function is made.
_MAKE = f"""DO $do$ BEGIN
EXECUTE format($make$CREATE OR REPLACE FUNCTION %1$I.{FUNCTION}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, %1$I, pg_temp SET extra_float_digits = 1 SET datestyle = 'ISO' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' AS %2$L$make$, current_schema(), $body${_BODY}$body$);
EXECUTE format('REVOKE ALL ON FUNCTION %1$I.{FUNCTION}() FROM PUBLIC', current_schema());
END $do$"""
# Fails while a table is watched.
DROP = "DROP FUNCTION IF EXISTS realtime_capture()"
_WATCHED = text(
    "SELECT n.nspname AS schema, c.relname AS name, t.tgname AS trigger FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'realtime_capture'"
)


@dataclass(frozen=True, slots=True)
class Watched:
    """A table with its triggers; ``without`` are columns that are not written into the log."""

    name: str
    schema: str | None = None
    without: tuple[str, ...] = ()


def attach(watched: Watched) -> list[str]:
    """The statements that put the triggers on a table, again where it has some, and make their function."""
    columns = ", ".join(_literal(name) for name in watched.without)
    made = [
        f"CREATE TRIGGER realtime_{name} AFTER {name.upper()} ON {_named(watched)} {rows} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}({'' if name == 'truncate' else columns})"
        for name, rows in _EVENTS.items()
    ]
    return [_MAKE, *detach(watched), *made]


def detach(watched: Watched) -> list[str]:
    """The statements that take the triggers off it again."""
    return [f"DROP TRIGGER IF EXISTS realtime_{name} ON {_named(watched)}" for name in _EVENTS]


def declare(table: Table, without: Collection[str] = ()) -> None:
    """Say that a table is watched: ``create_all`` then makes its triggers with it, and migrations know of them."""
    if not event.contains(table, "after_create", _after_create):
        event.listen(table, "after_create", _after_create)
    table.info[INFO] = Watched(table.name, table.schema, tuple(without))


def declared(tables: Iterable[Table]) -> list[Watched]:
    """Those that are, of these tables."""
    return [table.info[INFO] for table in tables if INFO in table.info]


def missing(connection: Connection, wanted: Sequence[Watched]) -> list[Watched]:
    """Those of these tables that have not got all their triggers."""
    there = watched(connection) if wanted else set()
    default = connection.dialect.default_schema_name
    return [each for each in wanted if (each.schema or default, each.name) not in there]


def watched(connection: Connection) -> set[tuple[str, str]]:
    """Schema and name of the tables that have them, in a database."""
    if connection.dialect.name != "postgresql":
        return set()
    wanted = {f"realtime_{name}" for name in _EVENTS}
    triggers: dict[tuple[str, str], set[str]] = {}
    for row in connection.execute(_WATCHED):
        triggers.setdefault((row.schema, row.name), set()).add(row.trigger)
    return {table for table, names in triggers.items() if names >= wanted}


def _after_create(target: Table, connection: Connection, **options: Any) -> None:
    for each in declared([target]) if connection.dialect.name == "postgresql" else ():
        for statement in attach(each):
            connection.execute(text(statement))


def _named(watched: Watched) -> str:
    return ".".join(_quoted(name) for name in (watched.schema, watched.name) if name is not None)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
