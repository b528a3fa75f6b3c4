"""A connection that is polled: what it is sent waits until its client comes for it, and a client that stays away is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqla_realtime.hub.connection import several
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.juggernaut import NO_SESSION, NOOP
from sqla_realtime.transports.juggernaut.gone import Gone
from sqla_realtime.transports.juggernaut.talk import Reader
from sqla_realtime.transports.lobby import Lobby


class Mailbox(Reader):
    """Never attached to a stream. ``receive`` takes what its client says; ``over`` is called when
    nobody will come for what is in it any more."""

    __slots__ = ("_poll", "over", "receive")

    def __init__(self, codec: Codec, lobby: Lobby, gone: Gone) -> None:
        super().__init__(codec, lobby, gone)
        self.over: Callable[[], None] = lambda: None
        self.receive: Callable[[str], None] = lambda text: None
        self.sent_at = asyncio.get_running_loop().time()
        # The poll that waits, if one does: it is over when it has a result.
        self._poll: asyncio.Future[None] | None = None

    @property
    def polled(self) -> bool:
        """Whether a poll waits."""
        return self._poll is not None

    def settle(self) -> None:
        self._lobby.flusher.settle()

    def wake(self) -> None:
        if self._poll is not None:
            self._end_poll()
        elif self.close_code is not None:
            # Not now: whoever sends something may be walking through what this would change.
            asyncio.get_running_loop().call_soon(self.over)

    async def collect(self, patience: float) -> list[bytes]:
        """What has come for the client, as soon as something has. A poll that an earlier one still waits beside ends that."""
        self._end_poll()
        poll = self._poll = asyncio.get_running_loop().create_future()
        if self.pending or self.close_code is not None:
            self._end_poll()
        try:
            async with asyncio.timeout(patience):
                await poll
        except TimeoutError:
            pass
        finally:
            if self._poll is poll:
                self._poll = None
        return self._taken_out() if self._poll is None else [NOOP]

    def _taken_out(self) -> list[bytes]:
        self.settle()
        queue = several(self.drain())
        self.flushed(sum(map(len, queue)))
        self.sent_at = asyncio.get_running_loop().time()
        lines = [line for text in queue for line in text.split(b"\n") if line]
        if self.close_code is not None:
            lines.append(NO_SESSION)
            self.over()
        return lines or [NOOP]

    def _end_poll(self) -> None:
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)
