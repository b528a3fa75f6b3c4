"""How fast is too fast: a token bucket that asks a clock, and the judgement of one client's messages by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

Clock = Callable[[], float]


class Bucket:
    """Holds ``burst`` tokens, and gets ``rate`` of them back a second.

    What is kept is the moment when it will be full again, which is all there is to know.
    """

    __slots__ = ("_burst", "_clock", "_full", "_rate")

    def __init__(self, rate: float, burst: float, clock: Clock = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._full = 0.0

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        full = max(self._full, now) + 1 / self._rate
        if full - now > self._burst / self._rate + 1e-9:
            return False
        self._full = full
        return True

    @property
    def wait(self) -> float:
        """In how many seconds there will be a token; 0 where there is one."""
        missing = max(self._full - self._clock(), 0.0) + (1 - self._burst) / self._rate
        return max(missing, 0.0)

    @property
    def full(self) -> bool:
        """Whether nothing has been taken that has not come back."""
        return self._full <= self._clock()


class Judgement(Enum):
    """What becomes of a message."""

    TAKEN = 0
    REFUSED = 1
    LOST = 2


@dataclass(frozen=True, slots=True)
class Rate:
    """How many messages one client may send: ``burst`` at once, ``rate`` a second for long. After ``strikes`` that were
    too many, without a pause that filled the bucket, the client is lost."""

    rate: float = 50.0
    burst: int = 200
    strikes: int = 10
    clock: Clock = time.monotonic


class Pace:
    """One client's messages."""

    __slots__ = ("_bucket", "_left", "_strikes")

    def __init__(self, rate: Rate) -> None:
        self._bucket = Bucket(rate.rate, rate.burst, rate.clock)
        self._left = self._strikes = rate.strikes

    def judge(self) -> Judgement:
        """Whether the message that has just come is one too many."""
        if self._bucket.full:
            self._left = self._strikes
        if self._bucket.take():
            return Judgement.TAKEN
        self._left -= 1
        return Judgement.REFUSED if self._left > 0 else Judgement.LOST
