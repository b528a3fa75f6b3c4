"""One server on one core, the load generator on another, for as long as a measurement takes; then both are gone."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.fanout import build
from benchmarks.fanout.servers import Server

Answer = dict[str, float]


class Failed(Exception):
    """A server or the generator did not do what a measurement needs."""


def many_files(wanted: int = 30_000) -> None:
    """Let this process and its children hold so many sockets, as far as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pinned(number: int) -> Callable[[], None]:
    """What keeps a child on the first or second core that this process may use, where there are two."""

    def pin() -> None:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > number:
            os.sched_setaffinity(0, {cores[number]})

    return pin


class Bench:
    """A running server with a generator; ``ask`` sends a command to the generator and waits for its answer."""

    def __init__(self, started: dict[str, Any], generator: subprocess.Popen[str]) -> None:
        self.started = started
        self._commands, self._answers = streams(generator)

    def ask(self, command: str) -> Answer:
        """One phase. Raises Failed where the generator or the server's control socket is gone."""
        with suppress(BrokenPipeError):
            self._commands.write(command + "\n")
            self._commands.flush()
        line = self._answers.readline()
        if not line:
            raise Failed(f"no answer to {command!r}")
        answer: Answer = json.loads(line)
        return answer

    def connect(self, connections: int, at_once: int = 200, patience: float = 60) -> Answer:
        """Everyone in. Raises Failed where not everyone gets in."""
        answer = self.ask(f"connect {at_once} {patience}")
        if answer["live"] != connections:
            raise Failed(f"{answer['live']:.0f} of {connections} connections came in")
        return answer

    def resident(self) -> int:
        """Bytes of the server's processes in memory."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.started["pids"]) * page

    def status(self) -> Answer:
        """What the product's server has counted."""
        with socket.create_connection(("127.0.0.1", self.started["control"])) as peer:
            peer.sendall(struct.pack("QQ", 0, 0))
            answer: Answer = json.loads(peer.makefile().readline())
            return answer


def start(command: Sequence[str], core: int | None, group: bool = False) -> subprocess.Popen[str]:
    """A child whose standard output is read, on a core of its own."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=build.ROOT,
        env=os.environ | {"PYTHONPATH": str(build.ROOT)},
        start_new_session=group,
        preexec_fn=pinned(core) if core is not None else None,
    )


def streams(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """A child's standard input and output."""
    if process.stdin is None or process.stdout is None:
        raise Failed("a child without pipes")
    return process.stdin, process.stdout


def end(process: subprocess.Popen[str], group: bool = False) -> None:
    """Kill it, and whoever it has started."""
    with suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.communicate()


@contextmanager
def bench(server: Server, connections: int, channels: int = 1, *, small: int = 0, core: int | None = 0) -> Iterator[Bench]:
    """Start both; nobody is connected yet. The first ``small`` clients have small buffers."""
    with ExitStack() as stack:
        process = start(server.argv(channels), core, group=True)
        stack.callback(end, process, group=True)
        line = streams(process)[1].readline()
        if not line:
            raise Failed(f"{server.name} did not start")
        started = json.loads(line)
        where = [server.kind, str(started["port"]), str(started["control"]), server.path]
        sizes = [str(connections), str(channels), str(small)]
        generator = start([str(build.LOAD), *where, *sizes, *map(str, started["pids"])], 1)
        stack.callback(end, generator)
        yield Bench(started, generator)
