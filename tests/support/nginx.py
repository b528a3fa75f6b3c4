"""Debian's nginx in front of a server, a child of the test: skipped where there is none, failed where that must not be."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.debian import program
from tests.support.processes import free_ports

PATIENCE = 20.0

# All that a WebSocket needs is said; everything else is nginx's default: a response is buffered, the server is asked in
# HTTP/1.0, and whoever says nothing for 60 seconds is cut. No path outside the folder is used.
CONFIGURATION = """
daemon off;
{user}
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{server};
            proxy_set_header Host $http_host;
            {more}
        }}
        location /realtime/ws {{
            proxy_pass http://127.0.0.1:{server};
            proxy_set_header Host $http_host;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, server: int, more: str = "") -> Iterator[int]:
    """A proxy of the server on this port; gives the port of its own. ``more`` is configuration for all but WebSockets."""
    binary = program("nginx")
    [port] = free_ports(1)
    # Its workers would otherwise be somebody to whom the folder is closed.
    user = "user root root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(CONFIGURATION.format(user=user, port=port, server=server, more=more))
    command = [binary.path, "-p", str(folder), "-c", "nginx.conf", "-e", "errors.log"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=binary.environment) as process:
        try:
            _wait(process, port, folder / "errors.log")
            yield port
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    pytest.fail(f"nginx does not listen:\n{errors.read_text() if errors.exists() else ''}")
