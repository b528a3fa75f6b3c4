"""The other processes with this log on this machine: each is found by its name, and told what is for a stream that it has.

Names are those of Linux's abstract sockets: nothing is left of them when a process ends, however it ends. Anybody may take
a name, so each side asks the kernel whose process the other one is before it says or believes anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqla_realtime.transports.line import sent_away

# So many processes may have doors on one port. Any more do without: commands do not find their streams, which begin anew.
DOORS = 64
# So many commands may be on their way to siblings at once, and as many on their way from them.
MOST = 100
# How long one may take, in seconds. A sibling that is stopped answers nothing.
PATIENCE = 5.0
PREFIX = "\0sqla-realtime"
# What a client says of where its stream is: a port, and which of the doors on it.
VIA = re.compile(r"[0-9]{1,5}\.[0-9]{1,2}")
DELIVERED = b"1"
UNKNOWN = b"0"


def can_share() -> bool:
    """Whether this system lets processes share a port, each with its part of the clients, and has such names."""
    return sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")


@dataclass(frozen=True, slots=True)
class Door:
    """Where the siblings of a process reach it: a socket that listens, and what its clients know it by."""

    socket: socket.socket
    via: str


class Family:
    """The processes of this user with one log, which is told from others by ``log``. Any thread."""

    def __init__(self, log: str) -> None:
        self._name = f"{PREFIX}/{os.geteuid()}/{hashlib.sha256(log.encode()).hexdigest()[:32]}/"

    def settle(self, port: int) -> Door | None:
        """A door of this process, which listens on a port; None where all names are taken."""
        for number in range(DOORS):
            via = f"{port}.{number}"
            door = socket.socket(socket.AF_UNIX)
            try:
                door.bind(self._name + via)
                door.listen(MOST)
            except OSError:
                door.close()
            else:
                door.setblocking(False)
                return Door(door, via)
        return None

    def lives_on(self, port: int) -> bool:
        """Whether one of these processes listens on a port."""
        for number in range(DOORS):
            with suppress(OSError):
                self.reach(f"{port}.{number}").close()
                return True
        return False

    def reach(self, via: str) -> socket.socket:
        """A stream to the process with this door. Raises OSError where there is none, or it is somebody else's."""
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.setblocking(False)
            stream.connect(self._name + via)
            if not is_ours(stream):
                raise PermissionError("This name is taken by another user's process.")
        except OSError:
            stream.close()
            raise
        return stream


def is_ours(stream: socket.socket) -> bool:
    """Whether the process at the other end is this user's, by the kernel's word."""
    _, uid, _ = struct.unpack("iII", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII")))
    return bool(uid == os.geteuid())


class Siblings:
    """The commands that pass between this process and its siblings. Loop thread only.

    ``largest`` is the size of a body. Nothing that came from a sibling is passed on again.
    """

    def __init__(self, family: Family, door: Door, largest: int) -> None:
        self.via = door.via
        self._family = family
        self._door = door
        self._largest = largest
        self._going = self._coming = 0
        self._server: asyncio.Server | None = None

    async def open(self, deliver: Callable[[str], bool]) -> None:
        """From now on what siblings pass on is delivered; ``deliver`` answers whether there was somebody to take it."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._coming += 1
            try:
                if self._coming <= MOST and is_ours(writer.get_extra_info("socket")):
                    await self._answer(reader, writer, deliver)
            except (OSError, EOFError, TimeoutError, UnicodeDecodeError):
                pass  # the sibling takes no answer for one that nobody was there
            finally:
                self._coming -= 1
                writer.close()

        self._server = await asyncio.start_unix_server(answer, sock=self._door.socket)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deliver: Callable[[str], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            size = int.from_bytes(await reader.readexactly(4))
            if size <= self._largest:
                body = await reader.readexactly(size)
                writer.write(DELIVERED if deliver(body.decode()) else UNKNOWN)
                await writer.drain()

    async def pass_on(self, via: str, body: str) -> bool:
        """Give a command to the sibling with this door; False where it does not know whom it is for, or is not there.

        Raises Refused where too many are on their way.
        """
        if VIA.fullmatch(via) is None or via == self.via:
            return False
        if self._going >= MOST:
            raise sent_away()
        self._going += 1
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(via, body.encode())
        except (OSError, TimeoutError):
            return False
        finally:
            self._going -= 1

    async def _ask(self, via: str, body: bytes) -> bool:
        reader, writer = await asyncio.open_unix_connection(sock=self._family.reach(via))
        try:
            writer.write(len(body).to_bytes(4) + body)
            return await reader.read(1) == DELIVERED
        finally:
            writer.close()

    def close(self) -> None:
        """Be found no longer."""
        if self._server is not None:
            self._server.close()
