"""The process that broadcasts, kept running: when it dies, by the button or by itself, another one is started."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import TracebackType

from examples.flask_demo.companions import spawn

# For so many seconds nothing is started after a death: one sees that the web process goes on committing.
AWAY = 1.0
# How long it may take to say goodbye to its clients, in seconds.
PATIENCE = 10.0
# What it prints once it accepts clients.
READY = "Listening on "


class Broadcaster:
    """``sqla-realtime serve``, while the block lasts. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended = threading.Event()
        self._listening = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="demo-broadcaster", daemon=True)

    def __enter__(self) -> Broadcaster:
        self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._ended.set()
            process = self._process
        if process is not None:
            process.terminate()
        self._keeper.join(PATIENCE)
        if process is not None and self._keeper.is_alive():
            process.kill()

    def listens(self, patience: float) -> bool:
        """Whether it accepts clients, now or within so many seconds."""
        return self._listening.wait(patience)

    def kill(self) -> int | None:
        """SIGKILL, which no program can answer. The number of the process that is no more; None where there was none."""
        with self._lock:
            if self._process is None or not self._listening.is_set():
                return None
            self._listening.clear()
            self._process.kill()
            return self._process.pid

    def _keep(self) -> None:
        while (process := self._start()) is not None:
            with process:
                for line in process.stdout or ():
                    if line.startswith(READY):
                        self._listening.set()
            self._listening.clear()
            if not self._ended.is_set():
                print(f"The broadcaster has ended ({process.returncode}). The next one starts in {AWAY:g} s.", file=sys.stderr)
                self._ended.wait(AWAY)

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock:
            self._process = None if self._ended.is_set() else spawn("sqla_realtime", "serve", "--app", f"{__package__}.serve")
            return self._process
