"""Commits on their way to many connections at once: each round takes to all of them what has come for all of them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sqla_realtime.hub.edition import Edition
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.transports.pump import Pump

if TYPE_CHECKING:
    from sqla_realtime.transports.flusher import Write

log = logging.getLogger(__name__)

# How much a round may bring to each, in bytes; more is for the queues, which have a bound and are made less.
MOST = 64 * 1024


@dataclass(slots=True)
class Round:
    """``editions``, in their order, for those of ``pumps`` who have not been ``visited``; ``size`` is about that of all."""

    pumps: Sequence[Pump]
    editions: list[Edition]
    size: int
    visited: int = 0


class Rounds:
    """The rounds that are under way, for one and the same set of connections. Loop thread only.

    A commit that comes meanwhile is brought along by the rounds that have not ended, and those whom they have visited
    already have a round of their own behind them. So each is sent all that there is for it in one go, in order, and
    nothing is done for a commit that is done for each connection but to send. ``waiting`` are in the order of their turns.
    """

    __slots__ = ("_everyone", "_visited", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Round] = deque()
        self._everyone: Sequence[Pump] = ()
        self._visited: list[Pump] = []

    def add(self, edition: Edition, pumps: Sequence[Pump]) -> None:
        """Take one more along. Where it is for others than the rounds under way, those are settled first: one who is in
        both would otherwise be sent something twice."""
        size = len(edition.frame(pumps[0].codec))
        if self.waiting and (pumps != self._everyone or size + max(each.size for each in self.waiting) > MOST):
            self.settle()
        if not self.waiting:
            self._everyone = pumps
            self._visited = [*pumps]
        for each in self.waiting:
            each.editions.append(edition)
            each.size += size
        if self._visited:
            self.waiting.append(Round(self._visited, [edition], size))
            self._visited = []

    def take(self, count: int, now: float) -> list[Write]:
        """What is to be sent to the next ``count`` connections."""
        if not self.waiting:
            return []
        first = self.waiting[0]
        pumps = first.pumps[first.visited : first.visited + count]
        first.visited += len(pumps)
        self._visited += pumps
        if first.visited >= len(first.pumps):
            self.waiting.popleft()
        if not self.waiting:
            self._everyone, self._visited = (), []  # who is gone by the next commit must not be kept until then
        try:
            return Pump.visit(pumps, first.editions, now)
        except Exception:  # a codec's or a frame's; whoever missed it must not go on as if nothing were missing
            log.exception("A commit could not be written to some clients, which have to come back for it. [write-failed]")
            for pump in pumps:
                pump.abort(CloseCode.SLOW_CONSUMER)
            return []

    def settle(self) -> None:
        """Queue what is left to bring, for each connection by itself."""
        waiting, self.waiting = self.waiting, deque()
        self._everyone, self._visited = (), []
        for each in waiting:
            for pump in islice(each.pumps, each.visited, None):
                for edition in each.editions:
                    edition.give(pump)
