"""Migrations give the tables that create_all gives; autogenerate proposes them where they are missing, and nothing else."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, inspect, text

from sqla_realtime.brokers.tables import metadata
from sqla_realtime.brokers.triggers import declare
from sqla_realtime.integrations.alembic import CreateRealtimeLog, DropRealtimeLog
from tests.support.databases import new_engine, postgres_engine

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with new_engine(request.param, tmp_path) as engine:
        yield engine


SETTINGS = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE name LIKE 'realtime_%' ORDER BY name",
    "postgresql": "SELECT relname, reloptions::text FROM pg_class WHERE relname LIKE 'realtime_%' ORDER BY relname",
    "mysql": "SELECT table_name, engine, (SELECT count(*) FROM realtime_tick) FROM information_schema.tables "
    "WHERE table_schema = database() ORDER BY table_name",
}


def schema(engine: Engine) -> dict[str, Any]:
    """All that a database knows about the tables."""
    found = inspect(engine)
    tables: dict[str, Any] = {}
    for name in sorted(metadata.tables):
        columns = [{**each, "type": str(each["type"])} for each in found.get_columns(name)]
        tables[name] = columns, found.get_pk_constraint(name), found.get_indexes(name)
    with engine.connect() as connection:
        tables["settings"] = [tuple(row) for row in connection.execute(text(SETTINGS[engine.dialect.name]))]
    return tables


def proposed(connection: Connection, **options: Any) -> MigrationScript:
    return produce_migrations(MigrationContext.configure(connection, opts=options), MetaData())


def test_upgrade_and_create_all_are_the_same_and_downgrade_leaves_nothing(empty: Engine) -> None:
    metadata.create_all(empty)
    wanted = schema(empty)
    metadata.drop_all(empty)
    with empty.begin() as connection:
        Operations(MigrationContext.configure(connection)).create_realtime_log()  # type: ignore[attr-defined]
    assert schema(empty) == wanted
    with empty.begin() as connection:
        Operations(MigrationContext.configure(connection)).drop_realtime_log()  # type: ignore[attr-defined]
    assert inspect(empty).get_table_names() == []


def test_autogenerate_proposes_what_is_missing_and_never_to_drop_it(empty: Engine) -> None:
    with empty.begin() as connection:
        script = proposed(connection)
        assert script.upgrade_ops is not None
        assert script.downgrade_ops is not None
        [made], [undone] = script.upgrade_ops.ops, script.downgrade_ops.ops
        assert (type(made), type(undone)) == (CreateRealtimeLog, DropRealtimeLog)
        assert type(undone.reverse()) is CreateRealtimeLog
        assert "op.create_realtime_log()" in render_python_code(script.upgrade_ops)
        assert "op.drop_realtime_log()" in render_python_code(script.downgrade_ops)
    metadata.create_all(empty)
    with empty.begin() as connection:
        script = proposed(connection)
        assert script.upgrade_ops is not None
        assert script.upgrade_ops.ops == []


def test_it_can_be_written_as_sql() -> None:
    written = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written})
    Operations(context).create_realtime_log()  # type: ignore[attr-defined]
    Operations(context).watch_table("page", schema="our")  # type: ignore[attr-defined]
    for statement in ('AFTER INSERT ON "our"."page"', "EXECUTE FUNCTION realtime_capture()"):
        assert statement in written.getvalue()
    for statement in ("CREATE TABLE realtime_log", "CREATE INDEX realtime_log_xid", "autovacuum_vacuum_threshold"):
        assert statement in written.getvalue()


@pytest.fixture
def watching() -> Iterator[tuple[Engine, MetaData]]:
    """A PostgreSQL with the log, and a table that is declared to be watched."""
    with postgres_engine() as engine:
        metadata.create_all(engine)
        tables = MetaData()
        declare(Table("page", tables, Column("id", Integer, primary_key=True), Column("pin", Integer)), ["pin"])
        yield engine, tables


def triggers(connection: Connection) -> list[tuple[str, str]]:
    """All that the database knows about them."""
    query = "SELECT pg_get_triggerdef(t.oid), pg_get_functiondef(tgfoid) FROM pg_trigger t WHERE NOT tgisinternal ORDER BY 1"
    return [tuple(row) for row in connection.execute(text(query))]


def test_a_watched_table_is_the_same_by_migration_and_by_create_all_and_its_reverse_leaves_nothing(
    watching: tuple[Engine, MetaData],
) -> None:
    engine, tables = watching
    with engine.begin() as connection:
        tables.create_all(connection)
        wanted = triggers(connection)
        assert len(wanted) == 4
        run: Any = Operations(MigrationContext.configure(connection))
        run.unwatch_table("page")
        assert triggers(connection) == []
        run.watch_table("page", without=["pin"])
        assert triggers(connection) == wanted
        run.unwatch_table("page")
        run.drop_realtime_log()
        assert connection.execute(text("SELECT count(*) FROM pg_proc WHERE proname = 'realtime_capture'")).scalar() == 0
        assert inspect(connection).get_table_names() == ["page"]


def test_autogenerate_watches_what_is_declared_and_only_that(watching: tuple[Engine, MetaData]) -> None:
    engine, tables = watching

    def rendered(connection: Connection) -> tuple[str, str]:
        script = produce_migrations(MigrationContext.configure(connection), tables)
        assert script.upgrade_ops is not None
        assert script.downgrade_ops is not None
        return render_python_code(script.upgrade_ops), render_python_code(script.downgrade_ops)

    with engine.begin() as connection:
        up, down = rendered(connection)
        assert up.index("op.create_table") < up.index("op.watch_table('page', without=['pin'])")
        assert down.index("op.unwatch_table('page', without=['pin'])") < down.index("op.drop_table")
        tables.create_all(connection)
        assert "watch" not in "".join(rendered(connection))
        tables.tables["page"].info.clear()
        up, down = rendered(connection)
        assert "op.unwatch_table('page')" in up
        assert "op.watch_table('page')" in down


def test_the_environment_of_the_project_runs(empty: Engine) -> None:
    url = empty.url.render_as_string(hide_password=False)

    def alembic(*arguments: str) -> None:
        command = [sys.executable, "-m", "alembic", "-x", f"url={url}", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    alembic("upgrade", "head")
    assert set(metadata.tables) <= set(inspect(empty).get_table_names())
    alembic("check")
    alembic("downgrade", "base")
    assert inspect(empty).get_table_names() == ["alembic_version"]
