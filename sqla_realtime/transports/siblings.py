"""Requests that are for what another process with this log has: each is handed over to that process, which answers it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from tornado.netutil import add_accept_handler

from sqla_realtime.transports.family import ROOM, Door, Family, is_ours
from sqla_realtime.transports.handover import Handed, give, receive
from sqla_realtime.transports.line import sent_away

# So many requests may be on their way to siblings at once, and as many on their way from them.
MOST = ROOM
# How long one may take, in seconds. A sibling that is stopped answers nothing.
PATIENCE = 5.0
# What a sibling says that is there and has room.
WELCOME = b"w"


class Siblings:
    """The requests that pass between this process and its siblings. Loop thread only.

    ``largest`` is the size of one, with its headers. Nobody is given a request who has not said that it is there.
    """

    def __init__(self, family: Family, door: Door, largest: int) -> None:
        self.via = door.via
        self._family = family
        self._largest = largest
        self._going = 0
        self._accept: Callable[[Handed], None] = Handed.close
        # Where it is found, each with what ends that once it is looked after; and those who have come and are not done.
        self._places: dict[socket.socket, Callable[[], None]] = {door.socket: lambda: None}
        self._coming: set[asyncio.Task[None]] = set()

    async def open(self, accept: Callable[[Handed], None]) -> None:
        """From now on what siblings hand over is accepted."""
        self._accept = accept
        for place in self._places:
            self._places[place] = add_accept_handler(place, self._come)

    def claim(self, place: str) -> Callable[[], None]:
        """Be found at one more place, if nobody is and a file is left for it, until what this gives is called. Calling it twice
        changes nothing."""
        taken = None
        with suppress(OSError):
            taken = self._family.take(place)
        if taken is None:
            return lambda: None
        self._places[taken] = add_accept_handler(taken, self._come)
        return lambda: self._leave(taken)

    async def hand_over(self, place: str, let_go: Callable[[], tuple[socket.socket, bytes]]) -> bool:
        """Have whoever is at a place answer a request, which is let go of when it is about to; False where nobody is there.

        Raises Refused where too many are on their way.
        """
        try:
            way = self._family.reach(place)
        except OSError:
            return False
        with way:
            if self._going >= MOST:
                raise sent_away()
            self._going += 1
            try:
                return await self._offer(way, let_go)
            finally:
                self._going -= 1

    async def _offer(self, way: socket.socket, let_go: Callable[[], tuple[socket.socket, bytes]]) -> bool:
        gone = False
        try:
            async with asyncio.timeout(PATIENCE):
                if await asyncio.get_running_loop().sock_recv(way, 1) == WELCOME:
                    connection, begun = let_go()
                    gone = True
                    with connection:
                        await give(way, connection, begun)
        except (OSError, TimeoutError):
            pass  # from where it has gone its client learns that nobody is there
        return gone

    def _come(self, way: socket.socket, address: object) -> None:
        if len(self._coming) >= MOST or not is_ours(way):
            way.close()
            return
        way.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._welcome(way))
        self._coming.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._coming.discard(task)
            way.close()

        task.add_done_callback(done)

    async def _welcome(self, way: socket.socket) -> None:
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                way.send(WELCOME)
                handed = await receive(way, self._largest)
            self._accept(handed)

    def _leave(self, place: socket.socket) -> None:
        end = self._places.pop(place, None)
        if end is not None:
            end()
            place.close()

    def close(self) -> None:
        """Be found no longer."""
        for place in list(self._places):
            self._leave(place)
        for task in self._coming:
            task.cancel()

    def abandon(self) -> None:
        """In a forked child: do not stand in the parent's places. The loop, which the parent still uses, must not notice."""
        for place in self._places:
            place.close()
