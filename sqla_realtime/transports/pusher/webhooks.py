"""Webhooks: an application is told who came and went, signed, in order, again until it has taken it, and within bounds."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest

from sqla_realtime.hub.pusher import Desk, Desks
from sqla_realtime.hub.tally import Tally
from sqla_realtime.protocol.pusher_messages import compact
from sqla_realtime.protocol.pusher_signatures import sign

# So many events wait, past which the oldest are dropped, of these kinds first; so many are told in one request.
WAITING = 1000
BATCH = 50
CHEAP = ("cache_miss", "client_event", "subscription_count")
# How long one request may take, and for how long what is not taken is tried again, in seconds.
PATIENCE = 10.0
TRYING = 300.0
# When it is tried for the second time; each later pause is twice as long.
FIRST = 1.0


class Webhooks:
    """Those of one application. Loop thread only."""

    def __init__(self, desk: Desk, url: str, tally: Tally, clock: Callable[[], float] = time.time) -> None:
        self._app = desk.app
        self._url = url
        self._tally = tally
        self._clock = clock
        self._waiting: deque[dict[str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._client = AsyncHTTPClient(force_instance=True)
        desk.hook = self.note

    def note(self, event: dict[str, Any]) -> None:
        """Something has happened."""
        self._waiting.append(event)
        if len(self._waiting) > WAITING:
            # What any client can cause again and again goes first: it must not push out who is there.
            cheap = (index for index, each in enumerate(self._waiting) if each["name"] in CHEAP)
            del self._waiting[next(cheap, 0)]
            self._tally.note("webhook-dropped")
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """Nothing is told any more."""
        if self._task is not None:
            self._task.cancel()
        self._client.close()

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._tell(batch)
        finally:
            self._task = None

    async def _tell(self, batch: list[dict[str, Any]]) -> None:
        since, pause = self._clock(), FIRST
        while not await self._told(batch):
            if self._clock() - since + pause > TRYING:
                self._tally.note("webhook-dropped")
                return
            await asyncio.sleep(pause)
            pause *= 2

    async def _told(self, batch: list[dict[str, Any]]) -> bool:
        body = compact({"time_ms": int(self._clock() * 1000), "events": batch})
        headers = {
            "Content-Type": "application/json",
            "X-Pusher-Key": self._app.key,
            "X-Pusher-Signature": sign(self._app.secret, body),
        }
        request = HTTPRequest(
            self._url, "POST", headers, body, request_timeout=PATIENCE, connect_timeout=PATIENCE, follow_redirects=False
        )
        try:
            await self._client.fetch(request)
        except (HTTPError, OSError, ValueError):  # the last is a URL's that is none, or of whose host there can be no name
            return False
        return True


def webhooks(desks: Desks, tally: Tally) -> list[Webhooks]:
    """Those of the applications that have any."""
    return [Webhooks(desk, desk.app.webhook, tally) for desk in desks if desk.app.webhook is not None]
