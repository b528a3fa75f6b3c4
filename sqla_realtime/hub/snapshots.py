"""Flies snapshots: reads the rows, takes the log's head afterwards, waits for the hub to get there, and lands."""

from __future__ import annotations

import asyncio
import logging

from sqla_realtime.brokers.base import Broker
from sqla_realtime.hub.doors import Archive, Refused
from sqla_realtime.hub.feed import Feed
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.hub import Hub
from sqla_realtime.protocol.codes import ErrorCode

log = logging.getLogger(__name__)

# How often rows are read again because a change that can't be told row by row came in between.
ATTEMPTS = 5


class Snapshots:
    """One task for each channel's snapshot under way. Loop thread only."""

    def __init__(self, hub: Hub, feed: Feed, broker: Broker, archive: Archive) -> None:
        self._hub = hub
        self._feed = feed
        self._broker = broker
        self._archive = archive
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, flight: Flight) -> None:
        """Fly. The hub answers the waiters when it has landed, or crashed."""
        task = asyncio.get_running_loop().create_task(self._fly(flight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fly(self, flight: Flight) -> None:
        try:
            for _ in range(ATTEMPTS):
                rows = await self._archive.rows(flight.channel)
                # Whatever the read can have seen is at or below this position.
                high = await self._broker.head()
                await self._feed.reached(high)
                if not flight.spoiled:
                    self._hub.land(flight, rows)
                    return
                flight.restart()
        except Refused as refused:
            self._hub.crash(flight, ErrorCode(refused.code), refused.message)
            return
        except Exception:
            log.exception("The rows of a channel could not be read. [snapshot-failed]")
        self._hub.crash(flight, ErrorCode.SNAPSHOT_FAILED, "The rows could not be read now; try again.")
