"""A connection over XHR: what it is sent waits for the request that takes it, and ends when no request comes any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqla_realtime.hub.connection import several
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pump import Pump

# How long a client may take from one request to the next, in seconds.
AWAY = 10.0


class Box(Pump):
    """Never attached to a stream: one request after the other takes what has come. ``over`` is called once, at the end."""

    __slots__ = ("_lobby", "_reader", "_timer", "over")

    def __init__(self, codec: Codec, lobby: Lobby) -> None:
        super().__init__(codec, lobby.settings.queue_bytes)
        self._lobby = lobby
        self.over: Callable[[], None] = lambda: None
        # The request that waits; it goes on when this has a result.
        self._reader: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.sent_at = asyncio.get_running_loop().time()

    def send(self, data: bytes) -> None:
        if data:
            super().send(data)

    def settle(self) -> None:
        self._lobby.flusher.settle()

    def wake(self) -> None:
        if self._reader is not None:
            if not self._reader.done():
                self._reader.set_result(None)
        elif self.close_code is not None and self._timer is not None:
            # Not now: whoever sends to many must not lose one of them meanwhile. With a timer no request is there to say it.
            asyncio.get_running_loop().call_soon(self.end)

    async def take(self, patience: float | None) -> list[str] | None:
        """Messages, as soon as there are any; none after so many seconds, and None where another request has come for
        them or the connection is closed and has nothing left to say."""
        self._come()
        reader = self._reader = asyncio.get_running_loop().create_future()
        try:
            if not (self.pending or self.close_code is not None):
                async with asyncio.timeout(patience):
                    await reader
        except TimeoutError:
            return []
        finally:
            mine = self._reader is reader
            if mine:
                self._reader = None
        return self._messages() if mine else None

    def pause(self) -> None:
        """A request is done and another one must follow soon."""
        self._come()
        if self.close_code is not None:
            self.end()
        else:
            self._timer = asyncio.get_running_loop().call_later(AWAY, self.end)

    def end(self) -> None:
        """Nobody comes for what is in it any more. Doing so twice changes nothing."""
        over, self.over = self.over, lambda: None
        self._come()
        over()

    def _come(self) -> None:
        """Whoever was waited for is here; a request that still waits has been left by its client."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        self._reader = None

    def _messages(self) -> list[str] | None:
        self.settle()
        queue = several(self.drain())
        self.flushed(sum(map(len, queue)))
        self.sent_at = asyncio.get_running_loop().time()
        lines = [line.decode() for text in queue for line in text.split(b"\n") if line]
        return None if self.close_code is not None and not lines else lines
