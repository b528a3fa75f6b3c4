"""Follows the broker for the hub; the only loop that comes back after the log was lost, whatever tier it is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import aclosing

from sqla_realtime.brokers.base import Follower
from sqla_realtime.commit import Entry, Position
from sqla_realtime.errors import LogUnreachable, PositionGone
from sqla_realtime.hub.hub import Hub

log = logging.getLogger(__name__)

RETRY_BASE = 0.1
RETRY_CAP = 10.0
# How long entries may be dispatched in one loop turn, in seconds.
SLICE = 0.005


class Feed:
    """Carries entries from the log to the hub, in order. Loop thread only.

    ``patience`` is how long, in seconds, whoever waits for a position does so while nothing comes; None for ever.
    """

    def __init__(self, broker: Follower, hub: Hub, patience: float | None = None) -> None:
        self._broker = broker
        self._hub = hub
        self._patience = patience
        self._arrived = asyncio.Event()
        self._tries = 0

    async def run(self) -> None:
        """Follow for ever: after a lost connection from the last entry, after a gap from the log's head."""
        while True:
            try:
                await self._follow()
            except Exception:
                log.exception("The log was lost; following it again from %s. [log-lost]", self._hub.position)
                # Full jitter, so that broadcasters do not come back in step.
                pause = random.uniform(0, min(RETRY_CAP, RETRY_BASE * 2**self._tries))  # noqa: S311
                self._tries = min(self._tries + 1, 16)
                await asyncio.sleep(pause)

    async def _follow(self) -> None:
        """Follow from the hub's position until the log has moved past it; then have the hub jump to the head."""
        try:
            async with aclosing(self._broker.follow(self._hub.position)) as entries:
                last = time.perf_counter()
                async for entry in entries:
                    self._dispatch(entry)
                    if time.perf_counter() - last > SLICE:
                        # Whoever writes faster than this must not keep the loop from everybody else.
                        await asyncio.sleep(0)
                        last = time.perf_counter()
        except PositionGone:
            log.warning("The log has moved past this broadcaster; its readers load everything anew. [position-gone]")
            self._hub.jump(await self._broker.head())
            self._came()

    def _dispatch(self, entry: Entry) -> None:
        try:
            self._hub.dispatch(entry)
        except Exception:
            # Some may have been sent it and others not, so nobody goes on from here without loading anew.
            log.exception("%s could not be sent; its readers load everything anew. [dispatch-failed]", entry.position)
            self._hub.jump(entry.position)
        self._came()

    def _came(self) -> None:
        self._arrived.set()
        self._tries = 0

    async def reached(self, position: Position) -> None:
        """Wait until the hub has dispatched everything up to a position, or has jumped into another log.

        Raises LogUnreachable.
        """
        while self._hub.position.epoch == position.epoch and self._hub.position.offset < position.offset:
            self._arrived.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await self._arrived.wait()
            except TimeoutError:
                raise LogUnreachable(patience=self._patience) from None
