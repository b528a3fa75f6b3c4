"""Debian's MariaDB as a child of the test run: one server, on a socket of its own, with an empty database for whoever asks."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, String, create_engine, make_url, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool

from tests.support.debian import program

PATIENCE = 30.0
# What a crash of the machine would take away, and what a large server would need, is nothing to a test.
SMALL = (
    "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M", "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
    "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--aria-log-file-size=8M", "--innodb-lock-wait-timeout=10",
    "--innodb-use-native-aio=0",
)  # fmt: skip
SYSTEM = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")


@compiles(String, "mysql")
@compiles(String, "mariadb")
def _bounded(type_: String, compiler: Any, **options: Any) -> str:
    """The models of the tests name no length, which other databases do without."""
    return str(compiler.visit_string(type_, **options)) if type_.length else "VARCHAR(255)"


class Server:
    """A server with a folder of its own; it can be killed and started again."""

    def __init__(self) -> None:
        self._binary = program("mariadbd")
        self.folder = Path(tempfile.mkdtemp(prefix="realtime-my-"))
        base = Path(self._binary.path).resolve().parents[1]
        data, share = self.folder / "data", base / "share" / "mysql"
        data.mkdir()
        user = ["--user=root"] if os.geteuid() == 0 else []
        self._command = [self._binary.path, "--no-defaults", *user, f"--datadir={data}", f"--basedir={base}", *SMALL]
        self._command += [f"--lc-messages-dir={share}"]
        script = ["CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"]
        script += [(share / name).read_text() for name in SYSTEM]
        made = subprocess.run(
            [*self._command, "--bootstrap"], input="".join(script), text=True, env=self._binary.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout
        self.start()

    @property
    def url(self) -> URL:
        return make_url("mysql+pymysql://root@localhost").update_query_dict({"unix_socket": str(self.folder / "socket")})

    def start(self) -> None:
        """Start it, and wait until it answers."""
        own = ["--skip-networking", f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *own], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._binary.environment
            )
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < end:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as trial:
                trial.connect(str(self.folder / "socket"))
                return
            time.sleep(0.01)
        pytest.fail(f"mariadbd does not answer:\n{(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        """At once, without a word."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server() -> Server:
    """The server of this test run."""
    made = Server()
    atexit.register(made.close)
    return made


@contextmanager
def mysql_engine(drivername: str = "mysql+pymysql", on: Server | None = None, **options: Any) -> Iterator[Engine]:
    """An engine on a new, empty database of that server, or of another one."""
    name = "t_" + uuid.uuid4().hex
    root = create_engine((on or server()).url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with root.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
    engine = create_engine(root.url.set(drivername=drivername, database=name), **options)
    try:
        yield engine
    finally:
        engine.dispose()
        with root.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
