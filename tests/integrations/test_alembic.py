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
from sqlalchemy import Connection, Engine, MetaData, inspect, text

from sqla_realtime.brokers.tables import metadata
from sqla_realtime.integrations.alembic import CreateRealtimeLog, DropRealtimeLog
from tests.support.databases import new_engine

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
    for statement in ("CREATE TABLE realtime_log", "CREATE INDEX realtime_log_xid", "autovacuum_vacuum_threshold"):
        assert statement in written.getvalue()


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
