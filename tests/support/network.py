"""A network of its own between tests and their PostgreSQL, that can be cut without anybody being told. Needs root, and Linux.

`python -m tests.support.network HOST SOCKET` is its far end: it listens on the host's address and passes everything on.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.processes import ROOT

PORT = 5432


def _ip(*arguments: str) -> bool:
    command = ["ip", *arguments]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


class Network:
    """``cut`` and ``mend``. While it is cut nothing arrives, whoever has sent it, and nobody hears of that."""

    def __init__(self, name: str, far: str) -> None:
        self._name = name
        self._far = far

    def cut(self) -> None:
        # The near end goes on to send there, and the far end no longer knows that it is meant.
        assert _ip("-n", self._name, "address", "delete", f"{self._far}/30", "dev", self._name)

    def mend(self) -> None:
        assert _ip("-n", self._name, "address", "add", f"{self._far}/30", "dev", self._name)


@contextmanager
def network(server: URL) -> Iterator[tuple[URL, Network]]:
    """The URL of the same database through a network, and the network."""
    host = str(server.query.get("host", ""))
    if os.geteuid() != 0 or shutil.which("ip") is None or not host.startswith("/"):
        pytest.skip("only root can make a network, with iproute2")
    number = os.getpid() % 16384
    name, block = f"rt{number}", f"198.18.{number // 64}.{number % 64 * 4}"
    near, far = (f"{block.rpartition('.')[0]}.{int(block.rpartition('.')[2]) + step}" for step in (1, 2))
    steps = (
        f"netns add {name}",
        f"link add {name}n type veth peer name {name} netns {name}",
        f"-n {name} address add {far}/30 dev {name}",
        f"-n {name} link set {name} up",
        f"address add {near}/30 dev {name}n",
        f"link set {name}n up",
    )
    try:
        if not all(_ip(*step.split()) for step in steps):
            pytest.skip("no network can be made here")
        command = ["ip", "netns", "exec", name, sys.executable, "-m", __name__, far, f"{host}/.s.PGSQL.{server.port or 5432}"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"listening\n"
                yield server.set(host=far, port=PORT, query={}), Network(name, far)
            finally:
                process.kill()
    finally:
        _ip("link", "delete", f"{name}n")
        _ip("netns", "delete", name)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def main() -> None:
    host, path = sys.argv[1:]
    with socket.create_server((host, PORT)) as listening:
        print("listening", flush=True)
        while True:
            here, _ = listening.accept()
            there = socket.socket(socket.AF_UNIX)
            there.connect(str(Path(path)))
            for pair in ((here, there), (there, here)):
                threading.Thread(target=_pass_on, args=pair, daemon=True).start()


if __name__ == "__main__":
    main()
