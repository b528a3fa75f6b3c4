"""Where processes with one log find each other on one machine, and that it is them.

Names are those of Linux's abstract sockets: nothing is left of them when a process ends, however it ends. Anybody may take
a name, so each side asks the kernel whose process the other one is before it says or believes anything.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass

# So many processes may have doors on one port. Any more do without: what is for them does not find them, and begins anew.
DOORS = 64
# So many may wait at one of them.
ROOM = 100
PREFIX = "\0sqla-realtime"
# What a client says of where it is known: a port, and which of the doors on it.
VIA = re.compile(r"[0-9]{1,5}\.[0-9]{1,2}")


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
            door = self.take(via)
            if door is not None:
                return Door(door, via)
        return None

    def take(self, place: str) -> socket.socket | None:
        """Be found at a place; None where somebody is."""
        door = socket.socket(socket.AF_UNIX)
        try:
            door.bind(self._name + place)
            door.listen(ROOM)
        except OSError:
            door.close()
            return None
        door.setblocking(False)
        return door

    def lives_on(self, port: int) -> bool:
        """Whether one of these processes listens on a port."""
        for number in range(DOORS):
            with suppress(OSError):
                self.reach(f"{port}.{number}").close()
                return True
        return False

    def reach(self, place: str) -> socket.socket:
        """A stream to the process at a place. Raises OSError where there is none, or it is somebody else's."""
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.setblocking(False)
            stream.connect(self._name + place)
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


def place_of(session: str) -> str:
    """The place of a session whose name its client has made up. Names of places can be read by everybody, so it is a digest."""
    return f"s/{hashlib.sha256(session.encode()).hexdigest()[:32]}"
