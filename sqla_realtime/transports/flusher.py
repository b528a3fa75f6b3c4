"""Writes once a loop turn for whoever has something queued, one send each, and in slices, so that nobody else starves."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.edition import Edition
from sqla_realtime.transports.gil import Send, keeping, releasing
from sqla_realtime.transports.pump import Pump
from sqla_realtime.transports.rounds import Rounds

log = logging.getLogger(__name__)

# How long others wait while many are written to, in seconds; and how many writes lie between two looks at the clock.
SLICE, LOOK = 0.005, 128
# So many sends, one after the other, that each took nearly as long as a thread may keep the interpreter's lock had to wait
# for it; and for how many seconds that is remembered. A single one may have waited for its core.
PROBES, NEARLY, MEMORY = 2, 0.8, 2.0


class Asker(Protocol):
    """Whoever has something to write."""

    def turn(self, now: float) -> Write | None:
        """What is to be sent, and where. ``now`` is about the loop's time. Nothing else happens before it is sent."""

    def kept(self, data: bytes, sent: int | None) -> None:
        """So much has been sent of what was to be, or nothing because the socket is broken. Not called if it was all."""


Write = tuple[Asker, socket.socket, bytes]


class Flusher:
    """The turns of one loop, which belong to whoever asked for one, in the order of asking, and the rounds that bring many
    the same; these two alternate. Loop thread only.

    First many are asked what they have, then it is sent: what runs between two system calls is as little as can be, since
    after each of them the processor has forgotten the rest. While other threads compute the interpreter's lock is held for
    a slice at a time: they have it for as long in between.
    """

    __slots__ = ("_asking", "_clock", "_keep_until", "_rounds", "_scheduled")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asking: list[Asker] = []
        self._rounds = Rounds()
        self._keep_until = -math.inf
        self._scheduled = False

    def ask(self, asker: Asker) -> None:
        """Have its turn come soon, once. It must not raise; if it does, the others have theirs all the same."""
        self._asking.append(asker)
        self._schedule()

    def post(self, edition: Edition, connections: list[Connection]) -> None:
        """Bring a commit to many; the Post of the hub that these Pumps are connections of."""
        self._rounds.add(edition, cast("list[Pump]", connections))
        self._schedule()

    def settle(self) -> None:
        """Have everything that was posted in the queues of those that it is for."""
        if self._rounds.waiting:
            self._rounds.settle()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        asking, self._asking = self._asking, []
        now = self._clock()
        end = now + SLICE
        count, done = LOOK if now < self._keep_until else PROBES, 0
        while (self._rounds.waiting or done < len(asking)) and now <= end:
            writes = self._rounds.take(count, now) + _turns(asking[done : done + count], now)
            if count == PROBES:
                writes = self._probe(writes)
            _send(writes, keeping if now < self._keep_until else releasing)
            done += count
            count = LOOK
            now = self._clock()
        self._asking = asking[done:] + self._asking
        self._scheduled = False
        if self._asking or self._rounds.waiting:
            self._schedule()

    def _probe(self, writes: list[Write]) -> list[Write]:
        """Send some, and find out whether each time another thread takes the lock; returns the others."""
        waits, last = 0, self._clock()
        for write in writes[:PROBES]:
            _send([write], releasing)
            last, before = self._clock(), last
            waits += last - before > NEARLY * sys.getswitchinterval()
        if waits == PROBES:
            self._keep_until = last + MEMORY
        return writes[PROBES:]


def _turns(asking: Sequence[Asker], now: float) -> list[Write]:
    writes = []
    for asker in asking:
        try:
            write = asker.turn(now)
        except Exception:  # a client that is left half written is cut when it takes nothing for two pings
            log.exception("What is queued for a client could not be written. [write-failed]")
        else:
            if write is not None:
                writes.append(write)
    return writes


def _send(writes: Sequence[Write], send: Send) -> None:
    for asker, to, data in writes:
        try:
            sent: int | None = send(to, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = None
        if sent != len(data):
            asker.kept(data, sent)
