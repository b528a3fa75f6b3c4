"""Follows the broker for the hub; the only loop that comes back after the log was lost, whatever tier it is."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import aclosing

from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.hub.hub import Hub

log = logging.getLogger(__name__)

RETRY_BASE = 0.1
RETRY_CAP = 10.0


class Feed:
    """Carries entries from the log to the hub, in order. Loop thread only."""

    def __init__(self, broker: Broker, hub: Hub) -> None:
        self._broker = broker
        self._hub = hub
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Follow for ever: after a lost connection from the last entry, after a gap from the log's head."""
        tries = 0
        while True:
            try:
                async with aclosing(self._broker.follow(self._hub.position)) as entries:
                    async for entry in entries:
                        self._hub.dispatch(entry)
                        self._arrived.set()
                        tries = 0
            except PositionGone:
                log.warning("The log has moved past this broadcaster; its readers load everything anew. [position-gone]")
                self._hub.jump(await self._broker.head())
                self._arrived.set()
            except Exception:
                log.exception("The log was lost; following it again from %s. [log-lost]", self._hub.position)
                # Full jitter, so that broadcasters do not come back in step.
                await asyncio.sleep(random.uniform(0, min(RETRY_CAP, RETRY_BASE * 2**tries)))  # noqa: S311
                tries = min(tries + 1, 16)

    async def reached(self, position: Position) -> None:
        """Wait until the hub has dispatched everything up to a position."""
        while self._hub.position.offset < position.offset:
            self._arrived.clear()
            await self._arrived.wait()
