"""Debian's PgBouncer between tests and their PostgreSQL, a child of the test, in transaction mode."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.debian import program
from tests.support.processes import free_ports

PATIENCE = 20.0

# One connection to the server for everybody: whatever one client leaves behind on it, the next one finds.
CONFIGURATION = """
[databases]
* = host={host} port={server} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""


@contextmanager
def pooler(server: URL, size: int = 1) -> Iterator[URL]:
    """The URL of the same database through a pooler with so many connections."""
    binary = program("pgbouncer")
    [port] = free_ports(1)
    host = server.host or str(server.query.get("host", ""))
    folder = Path(tempfile.mkdtemp(prefix="realtime-pooler-"))
    text = CONFIGURATION.format(host=host, server=server.port or 5432, user=server.username, port=port, size=size)
    (folder / "pooler.ini").write_text(text)
    folder.chmod(0o755)
    # It refuses to be root; whoever owns the socket may use it.
    owner = Path(host).stat().st_uid if host.startswith("/") else 65534
    user = owner if os.geteuid() == 0 else None
    log = (folder / "log").open("w")
    command = [binary.path, str(folder / "pooler.ini")]
    with log, subprocess.Popen(command, stdout=log, stderr=log, env=binary.environment, user=user) as process:
        try:
            _wait(process, port, folder / "log")
            yield server.set(host="127.0.0.1", port=port, query={})
        finally:
            process.terminate()
    shutil.rmtree(folder)


def _wait(process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    pytest.fail(f"PgBouncer does not listen:\n{errors.read_text()}")
