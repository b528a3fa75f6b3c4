"""Wakes a thread that waits for other threads and for a socket at once."""

from __future__ import annotations

import selectors
import socket
import threading


class Bell:
    """``ring`` may be called from any thread, everything else by the one that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rung = False
        self._here, self._there = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._here, selectors.EVENT_READ)

    def ring(self) -> None:
        """Have whoever waits go on, or not wait at all the next time; once is enough until it is silent again."""
        with self._lock:
            if not self._rung:
                self._rung = True
                self._there.send(b"!")

    def silence(self) -> None:
        """From now on it may be waited for again."""
        with self._lock:
            if self._rung:
                self._rung = False
                self._here.recv(1)

    def wait(self, seconds: float | None, also: int | None = None) -> None:
        """Until it rings, or the file of a number can be read, or so many seconds have passed."""
        if also is None:
            self._selector.select(seconds)
            return
        self._selector.register(also, selectors.EVENT_READ)
        try:
            self._selector.select(seconds)
        finally:
            self._selector.unregister(also)

    def close(self) -> None:
        """It is never rung again."""
        with self._lock:
            self._rung = True
        self._selector.close()
        self._here.close()
        self._there.close()
