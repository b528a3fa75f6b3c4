"""Gives up a connection whose server does not answer: from another thread it shuts the socket that is waited on in vain."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqla_realtime.errors import LogUnreachable

# What takes long, and not for ever, is given twice as long each time, up to so many times.
LONGEST = 8


class Watchdog:
    """Watches one thread, which for each connection enters ``over``, says ``adopt`` when it is there, ``work`` before it asks a
    server for anything, and ``rest`` when it waits for something else. ``cut`` and ``close`` may be called by any."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._socket: socket.socket | None = None
        self._step = 0
        self._working = False
        # After how many seconds the connection was given up; None where it was not.
        self._bitten: float | None = None
        self._slack = 1
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self) -> Iterator[None]:
        """In the block a connection is made, worked with and closed. Raises LogUnreachable where it was given up."""
        try:
            yield
        except Exception as error:
            if self._bitten is not None:
                raise LogUnreachable(patience=self._bitten) from error
            raise
        finally:
            self._working, self._bitten = False, None
            with self._lock:
                self._let_go()

    def adopt(self, connection: object) -> None:
        """This connection of a driver is worked with from now on. One without a socket can't be given up."""
        number = getattr(connection, "fileno", None)
        with self._lock:
            self._let_go()
            if number is not None:
                # Of its own, so that it is never another file that is shut. Of what family it is does not matter for that.
                self._socket = socket.fromfd(number(), socket.AF_INET, socket.SOCK_STREAM)
        if self._socket is not None and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="sqla-realtime-log-watch", daemon=True)
            self._thread.start()
        self.work()

    def work(self) -> None:
        """The next step begins; it has the time of ``patience``, and less than twice that."""
        self._step += 1
        self._working = True

    def rest(self) -> None:
        """All that was asked has been answered."""
        self._working = False
        self._slack = 1

    def cut(self) -> None:
        """Whoever waits for the connection's answer fails now."""
        with self._lock:
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End its thread."""
        self._closed.set()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _watch(self) -> None:
        """It counts how often it looks, not seconds: a process that was stopped for a while has not waited that long."""
        seen, times = -1, 0
        while not self._closed.wait(self.patience / 2):
            step = self._step if self._working else -1
            times = times + 1 if step == seen != -1 else 0
            seen = step
            if times == 2 * self._slack:
                self._bitten = self.patience * self._slack
                self._slack = min(self._slack * 2, LONGEST)
                self.cut()
