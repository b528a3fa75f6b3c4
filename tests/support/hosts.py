"""The servers that people run Python web applications with, as real processes on one database; each can be asked, replaced,
killed and ended in the same words."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from tests.support.processes import Process, free_ports
from tests.support.shared_app import make

ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class Host:
    """How a server is started, ``ready`` when it prints that; with how many ``workers``, and whether they outlive
    their parent's SIGTERM long enough to say goodbye (``drains``)."""

    command: tuple[str, ...]
    ready: str
    workers: int = 1
    replaced_by: str = "SIGHUP"
    drains: bool = True


def _gunicorn(workers: int, *more: str, replaced_by: str = "SIGHUP") -> Host:
    command = ("gunicorn", "-w", str(workers), "-b", "127.0.0.1:{port}", *more, "tests.support.wsgi_app:app")
    return Host(command, "Listening at", workers, replaced_by)


_FLASK = ("flask", "--app", "tests.support.wsgi_app", "run", "--port", "{port}")
# On a busy machine a worker takes longer to come than it is given by default, and then no other one is replaced either.
_UVICORN = ("uvicorn", "tests.support.asgi_app:app", "--workers", "4", "--port", "{port}", "--timeout-worker-healthcheck", "60")
HOSTS = {
    "flask run": Host(_FLASK, "Running on", replaced_by="restart", drains=False),
    "flask run --debug": Host((*_FLASK, "--debug", "--extra-files", "{touched}"), "Debugger is active",
                              replaced_by="touch", drains=False),
    "gunicorn -w 4": _gunicorn(4),
    "gunicorn gthread": _gunicorn(2, "-k", "gthread", "--threads", "4"),
    "gunicorn --preload": _gunicorn(2, "--preload"),
    "gunicorn --max-requests": _gunicorn(2, "--max-requests", "400", replaced_by="requests"),
    "uvicorn --workers 4": Host(_UVICORN, "Application startup complete", 4),
}  # fmt: skip


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


class Site:
    """A host that runs, with the realtime port that all of its workers have."""

    def __init__(self, host: Host, url: str, folder: Path) -> None:
        self.host = host
        self._url = url
        self.port, self.realtime_port = free_ports(2)
        self._touched = folder / "touched"
        self._touched.write_text("")
        self._opener = build_opener(ProxyHandler({}))
        command = [part.format(port=self.port, touched=self._touched) for part in host.command]
        self.process = Process(*command, SHARED_URL=url, REALTIME_PORT=str(self.realtime_port))

    def start(self) -> None:
        """Wait until it is ready."""
        self.process.start()
        self.process.printed(self.host.ready)

    def ask(self, path: str, method: str = "GET") -> object:
        """The answer of any worker, as soon as one answers."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        while True:
            try:
                with self._opener.open(request, timeout=20) as answer:
                    return json.load(answer)
            except (OSError, HTTPException):  # that worker has just ended, or the next has not begun
                assert self.process.status is None, self.process.output

    def serving(self, gone: frozenset[int] = frozenset()) -> frozenset[int]:
        """The workers, once as many as there should be have answered and broadcast, and those that are to go are ``gone``."""
        found: set[int] = set()
        while len(found) != self.host.workers or any(map(_lives, gone)):
            with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
                answers = list(pool.map(lambda _: self.ask("/serving"), range(ASKED_AT_ONCE)))
            found |= {answer["pid"] for answer in answers if isinstance(answer, dict) and answer["serving"]} - gone
            found = set(filter(_lives, found))
        return frozenset(found)

    def replace(self) -> None:
        """Have new workers in place of those that there are, as a deployment does."""
        before = self.serving()
        match self.host.replaced_by:
            case "restart":
                self.process.stop()
                self.start()
            case "touch":
                self._touched.write_text("touched")
            case "requests":
                while any(map(_lives, before)):
                    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
                        list(pool.map(lambda _: self.ask("/"), range(100)))
            case number:
                self.process.send(signal.Signals[number])
        self.serving(gone=before)

    def kill(self, pid: int) -> None:
        """Kill a worker. Where nobody starts another one it is started again."""
        if self.host.workers == 1:
            self.process.stop(signal.SIGKILL)
            self.start()
        else:
            os.kill(pid, signal.SIGKILL)
        self.serving(gone=frozenset({pid}))

    def behind(self, via: str) -> int:
        """The worker that clients know by this, by the kernel's word."""
        family = make(self._url)[0]._family()
        assert family is not None
        with family.reach(via) as stream:
            pid, *_ = struct.unpack("iII", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)
