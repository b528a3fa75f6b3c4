"""Writes once a loop turn for whoever has something queued, one call each, and in slices, so that nobody else starves."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

# How long others wait while many are written to, in seconds; and how many writes lie between two looks at the clock.
SLICE, LOOK = 0.005, 32
# So many writes, one after the other, that each took nearly as long as a thread may keep the interpreter's lock had to wait
# for it; and for how many seconds that is remembered. A single one may have waited for its core.
PROBES, NEARLY, MEMORY = 2, 0.8, 2.0


class Asker(Protocol):
    """Whoever has something to write. One kind of it, because this is called for every delivery."""

    def turn(self, now: float, hold: bool) -> None:
        """Write, without blocking. ``now`` is about the loop's time. ``hold``: keep the interpreter's lock meanwhile."""


class Flusher:
    """The turns of one loop, which belong to whoever asked for one, in the order of asking. Loop thread only.

    While other threads compute the lock is held for a slice at a time: they have it for as long in between.
    """

    __slots__ = ("_asking", "_clock", "_hold_until", "_scheduled")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asking: list[Asker] = []
        self._hold_until = -math.inf
        self._scheduled = False

    def ask(self, asker: Asker) -> None:
        """Have its turn come soon, once. It must not raise; if it does, the others have theirs all the same."""
        self._asking.append(asker)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        asking, self._asking = self._asking, []
        now = self._clock()
        end = now + SLICE
        hold, waits = now < self._hold_until, 0
        for number, asker in enumerate(asking, 1):
            try:
                asker.turn(now, hold)
            except Exception:  # a client that is left half written is cut when it takes nothing for two pings
                log.exception("What is queued for a client could not be written. [write-failed]")
            if number <= PROBES and not hold:
                last, now = now, self._clock()
                waits += now - last > NEARLY * sys.getswitchinterval()
                if waits == PROBES:
                    hold, self._hold_until = True, now + MEMORY
            elif number % LOOK == 0 and (now := self._clock()) > end:
                self._asking = asking[number:] + self._asking
                break
        self._scheduled = bool(self._asking)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._flush)
