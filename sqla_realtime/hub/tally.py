"""Says in the log that clients are turned away: for each reason one line a minute, with a count, however many they are."""

from __future__ import annotations

import logging
import time
from collections import Counter

from sqla_realtime.hub.pace import Clock

log = logging.getLogger(__name__)

MINUTE = 60.0


class Tally:
    """Counts by reason, which is a code of the protocol: nothing that a client has sent gets into the log.

    Somebody calls ``flush`` now and then, so that the last ones of a flood are told too.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._said: dict[str, float] = {}

    def note(self, reason: str) -> None:
        """It has happened once more."""
        self._counts[reason] += 1
        self._say(reason)

    def flush(self) -> None:
        """Say what was counted, where it is time."""
        for reason in list(self._counts):
            self._say(reason)

    def _say(self, reason: str) -> None:
        now = self._clock()
        if now - self._said.get(reason, now - MINUTE) >= MINUTE:
            self._said[reason] = now
            log.warning(
                "Clients that were refused, closed or reset: %d. The next line of this comes in a minute. [%s]",
                self._counts.pop(reason),
                reason,
            )
