"""A full disk: the transaction that can't be told fails and says so, and everything goes on when there is room again."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.brokers.tables import log
from sqla_realtime.errors import LogUnwritable
from tests.support.databases import postgres_engine, postgres_url
from tests.support.models import Base, Page, PageOut, Project

Make = Callable[..., Realtime]


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """A tablespace on a file system of its own."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("only root can make a disk that is full")
    name = "s_" + uuid.uuid4().hex
    server = create_engine(postgres_url(), isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            owner = Path(connection.execute(text("SHOW data_directory")).scalar_one()).stat().st_uid
            os.chown(folder, owner, -1)
            for each in folder.parents:  # those that pytest has made are closed to others
                if each.is_relative_to(tempfile.gettempdir()) and each != Path(tempfile.gettempdir()):
                    each.chmod(0o755)
            connection.execute(text(f"CREATE TABLESPACE {name} LOCATION '{folder}'"))
        yield name
        with server.connect() as connection:
            connection.execute(text(f"DROP TABLESPACE {name}"))
    finally:
        server.dispose()
        subprocess.run(["umount", str(folder)], check=True)


def write(sessions: sessionmaker[Session], size: int) -> None:
    """Change a row in place, of which the log has to hold more than there is room for."""
    with sessions.begin() as session:
        session.get_one(Page, 1).size = size


def check(realtime: Realtime, engine: Engine, fill: Callable[[], None], free: Callable[[], None]) -> None:
    sessions = sessionmaker(engine)
    realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
    realtime.enable(sessions)
    with sessions.begin() as session:
        session.add(Project(id=1))
        session.add(Page(id=1, project_id=1, title=secrets.token_hex(10_000), size=0))
    fill()
    with pytest.raises(LogUnwritable, match=r"(database or disk is full|No space left on device)[^\[]*\n.*the disk needs room"):
        write(sessions, 1)
    free()
    write(sessions, 2)
    with sessions() as session:
        assert session.get_one(Page, 1).size == 2
        bodies = session.scalars(select(log.c.body).order_by(log.c.id)).all()
    assert [f'\\"size\\":{size}' in body for size, body in zip((0, 2), bodies, strict=True)] == [True, True]


def test_on_sqlite(tmp_path: Path, realtime: Make) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'full.db'}")
    made = realtime(broker="database")
    Base.metadata.create_all(engine)
    made.metadata.create_all(engine)
    more = [1000]

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        count = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {count + more[-1]}")

    check(made, engine, lambda: more.append(0), lambda: more.append(1000))
    engine.dispose()


def test_on_postgres(tmp_path: Path, realtime: Make) -> None:
    made = realtime(broker="database")
    with small_disk(tmp_path / "disk") as space, postgres_engine() as engine:
        Base.metadata.create_all(engine)
        made.metadata.create_all(engine)
        run(engine, f"ALTER TABLE realtime_log SET TABLESPACE {space}", f"CREATE TABLE filler (x text) TABLESPACE {space}")

        def fill() -> None:
            with suppress(DBAPIError):
                while True:
                    run(engine, "INSERT INTO filler VALUES (repeat('x', 1000))")

        check(made, engine, fill, lambda: run(engine, "DROP TABLE filler"))
        made.stop()
