"""Servers as real processes: on ports of their own, waited for by what they print, and always ended with their children."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


def free_ports(count: int) -> list[int]:
    """That many different ports on the loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def listening(pid: int) -> set[int]:
    """The TCP ports that a process listens on, as Linux tells it."""
    sockets = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            sockets.add(os.readlink(file))
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                ports.add(int(local.rpartition(":")[2], 16))
    return ports


class Process:
    """``python -m <arguments>`` in a folder, with these additions to the environment. It can be started again."""

    def __init__(self, *arguments: str, folder: Path = ROOT, **environment: str) -> None:
        self._folder = folder
        self._command = [sys.executable, "-m", *arguments]
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        self.lines: list[str] = []

    def __enter__(self) -> Process:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, in a process group of its own; what it prints collects in ``lines``."""
        self.lines, self._ended = [], False
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the first process."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int | None:
        """Send its first process this signal and end the rest; what it exited with. Does nothing where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(by)
        try:
            status = process.wait(PATIENCE)
        finally:
            self._end_group(process.pid)
            process.wait(PATIENCE)
            self._reader.join(PATIENCE)
        return status

    def printed(self, pattern: str, patience: float = PATIENCE) -> str:
        """Wait for a line that matches, and give it."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._find(pattern) or self._ended, patience)
            line = self._find(pattern)
        assert found, f"{self._command} has not printed {pattern!r}:\n{self.output}"
        assert line is not None, f"{self._command} ended before it printed {pattern!r}:\n{self.output}"
        return line

    @property
    def all_ended(self) -> bool:
        """Whether nobody holds its output any more: it has ended, and so has all that it had started."""
        return self._ended

    @property
    def pid(self) -> int:
        """The first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """What it has exited with by itself; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def output(self) -> str:
        """All that it has printed."""
        return "".join(self.lines)

    def _find(self, pattern: str) -> str | None:
        return next((line for line in self.lines if re.search(pattern, line)), None)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @staticmethod
    def _end_group(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
