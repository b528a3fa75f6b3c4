"""A connection over requests: what it is sent waits for the one that takes it, and it ends when no request comes any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sqla_realtime.hub.connection import several
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.transports.flusher import Flusher
from sqla_realtime.transports.pump import Pump

# How long a client may take from one request to the next, in seconds.
AWAY = 10.0


class Taker(Protocol):
    """The request whose turn it is."""

    def drop(self) -> None:
        """Cut it off: its client does not read."""


class Mailbox(Pump):
    """Never attached to a stream: ``begin`` stands in for that. One request after the other takes what has come, and a later
    one takes an earlier one's place. ``receive`` takes what the client says, by requests of their own.

    Without slots, so that it goes together with other kinds of connections; there are few of it.
    """

    def __init__(self, codec: Codec, budget: int) -> None:
        super().__init__(codec, budget)
        self.receive: Callable[[str], None] = lambda text: None
        self._over: Callable[[], None] = lambda: None
        # The request whose turn it is, and what it waits for; between two requests, when the next one must have come.
        self._taker: Taker | None = None
        self._news: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, flusher: Flusher, receive: Callable[[str], None], over: Callable[[], None]) -> None:
        """``over`` is called once, when nobody will come for what is in it any more."""
        loop = asyncio.get_running_loop()
        self._flusher = flusher
        self.receive, self._over = receive, over
        self.sent_at = loop.time()
        # The request with which it begins may be gone before its turn.
        self._timer = loop.call_later(AWAY, self.end)

    @property
    def polled(self) -> bool:
        """Whether a request waits for news."""
        return self._news is not None

    def send(self, data: bytes) -> None:
        if data:
            super().send(data)

    def settle(self) -> None:
        self._flusher.settle()

    def wake(self) -> None:
        if self._news is not None:
            self._hurry()
        elif self._taker is None:
            if self.close_code is not None:
                # Not now: whoever sends to many must not lose one of them meanwhile. No request is there to say it.
                asyncio.get_running_loop().call_soon(self.end)
        elif self.aborted:
            self._taker.drop()

    async def take(self, taker: Taker, patience: float | None) -> list[bytes] | None:
        """Messages, as soon as there are any; none after so many seconds, and None where another request has come for
        them or the connection is closed and has nothing left to say."""
        self._come()
        self._taker = taker
        if not (self.pending or self.close_code is not None):
            news = self._news = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(patience):
                    await news
            except TimeoutError:
                pass
            finally:
                if self._news is news:
                    self._news = None
        return self._messages() if self._taker is taker else None

    def pause(self, taker: Taker) -> None:
        """A request is done, and another one must follow soon; where one is there already this changes nothing."""
        if self._taker is taker:
            self._come()
            if self.close_code is not None:
                self.end()
            else:
                self._timer = asyncio.get_running_loop().call_later(AWAY, self.end)

    def cut(self, taker: Taker) -> None:
        """The client has left a request. What was on its way to it may be lost, so the connection goes with it, unless the
        turn was another request's already."""
        if self._taker is taker:
            self.end()

    def end(self) -> None:
        """Nobody comes for what is in it any more. Doing so twice changes nothing."""
        over, self._over = self._over, lambda: None
        self._come()
        over()

    def _come(self) -> None:
        """Whoever was waited for is here; a request that still waits has nothing to wait for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hurry()
        self._taker = None

    def _hurry(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._news = None

    def _messages(self) -> list[bytes] | None:
        self.settle()
        queue = several(self.drain())
        self.flushed(sum(map(len, queue)))
        self.sent_at = asyncio.get_running_loop().time()
        lines = [line for text in queue for line in text.split(b"\n") if line]
        return None if self.close_code is not None and not lines else lines
