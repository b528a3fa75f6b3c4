"""The line before the door: so many handshakes a second go through, the next ones wait, and those beyond are sent away."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.pace import Bucket
from sqla_realtime.protocol.codes import ErrorCode


class Line:
    """First come, first served; ``room`` is how many may wait. Loop thread only.

    ``busy`` from the moment when somebody was sent away until nobody waits any more.
    """

    def __init__(self, bucket: Bucket, room: int) -> None:
        self._bucket = bucket
        self._room = room
        self._waiting: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.busy = False

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self) -> asyncio.Future[bool] | None:
        """Take a place; None where it is one's turn already. The future tells when it is, or with False that it will not be.

        Raises Refused where there is no place.
        """
        if self._closed or (not self._waiting and self._bucket.take()):
            return None
        if len(self._waiting) >= self._room:
            self.busy = True
            raise sent_away()
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        if self._timer is None:
            self._wait()
        return place

    def leave(self, place: asyncio.Future[bool]) -> None:
        """Whoever waited is gone. Doing so twice, or after one's turn, changes nothing."""
        self._waiting.pop(place, None)
        if not place.done():
            place.set_result(False)
        self._calm()

    def close(self) -> None:
        """It is everybody's turn: behind the door there is nothing but a goodbye."""
        self._closed = True
        while self._waiting:
            self._waiting.popitem(last=False)[0].set_result(True)
        self._calm()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._bucket.wait, self._serve)

    def _serve(self) -> None:
        self._timer = None
        while self._waiting and self._bucket.take():
            self._waiting.popitem(last=False)[0].set_result(True)
        if self._waiting:
            self._wait()
        self._calm()

    def _calm(self) -> None:
        if not self._waiting:
            self.busy = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None


def sent_away() -> Refused:
    """Why somebody has no place in the line."""
    return Refused(ErrorCode.TOO_BUSY, "Too many clients are coming at once; come back.", "Or raise REALTIME_HANDSHAKE_RATE.")
