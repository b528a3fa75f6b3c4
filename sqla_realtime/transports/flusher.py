"""Writes once a loop turn for whoever has something queued, one call each, and in slices, so that nobody else starves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

# How long others wait while many are written to, in seconds; and how many writes lie between two looks at the clock.
SLICE, LOOK = 0.005, 32


class Flusher:
    """The turns of one loop, which belong to whoever asked for one, in the order of asking. Loop thread only."""

    __slots__ = ("_clock", "_scheduled", "_turns")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._turns: list[Callable[[], None]] = []
        self._scheduled = False

    def ask(self, turn: Callable[[], None]) -> None:
        """Have ``turn`` called soon, once. It must not raise; if it does, the others have theirs all the same."""
        self._turns.append(turn)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        turns, self._turns = self._turns, []
        end = self._clock() + SLICE
        for number, turn in enumerate(turns, 1):
            try:
                turn()
            except Exception:  # a client that is left half written is cut when it takes nothing for two pings
                log.exception("What is queued for a client could not be written. [write-failed]")
            if number % LOOK == 0 and self._clock() > end:
                self._turns = turns[number:] + self._turns
                break
        self._scheduled = bool(self._turns)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._flush)
