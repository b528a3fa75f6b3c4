"""The port that is listened on: this process's alone, or shared with its siblings, and never with anybody else."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqla_realtime.errors import PortInUse, PortOfSibling
from sqla_realtime.transports.family import PREFIX, Door, Family

# How many clients may come at once before the loop has looked: more have to knock again seconds later. The system
# takes less where it is set to.
BACKLOG = 4096
# How long others who are taking the same port are waited for, in seconds, and how often that is looked at.
TURN = 2.0
LOOK = 0.005


@dataclass(frozen=True, slots=True)
class Place:
    """Sockets that listen on one port, and the door by which siblings reach whoever has them."""

    sockets: list[socket.socket]
    door: Door | None = None

    @property
    def port(self) -> int:
        """The port, also where the setting leaves the choice to the system."""
        return int(self.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Be reached no longer. The door goes first: whoever is behind one has the port."""
        if self.door is not None:
            self.door.socket.close()
        for each in self.sockets:
            each.close()


def take(host: str, port: int, family: Family | None, *, shared: bool) -> Place:
    """Listen, beside the other processes of a family where there is one.

    Raises PortInUse where somebody else has the port, PortOfSibling where it may be another process with the same log
    (``shared``), and this system can't have both; and OSError for whatever else keeps one from listening.
    """
    found = False
    try:
        if family is None:
            return Place(listen(host, port))
        with _turn(port):
            try:
                sockets = listen(host, port)
            except OSError as error:
                found = error.errno == errno.EADDRINUSE and family.lives_on(port)
                if not found:
                    raise
                sockets = listen(host, port, beside=True)
            else:
                # Only now: it was this process's alone, whoever else may have set this; from here on siblings may come.
                for each in sockets:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            return Place(sockets, family.settle(sockets[0].getsockname()[1]))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        kind = PortOfSibling if shared and (family is None or found) else PortInUse
        raise kind(host=host, port=port) from None


@contextmanager
def _turn(port: int) -> Iterator[None]:
    """One process of this user at a time looks who has a port and takes it: between the two others would look in vain.

    Whoever waits in vain goes on: a name may be taken by anybody, or be left to a child that was forked just then.
    """
    deadline = time.monotonic() + TURN
    with socket.socket(socket.AF_UNIX) as turn:
        while time.monotonic() < deadline:
            try:
                turn.bind(f"{PREFIX}/{os.geteuid()}/{port}")
                break
            except OSError:
                time.sleep(LOOK)  # a name that is taken tells nobody when it is free
        yield


def listen(host: str, port: int, *, beside: bool = False) -> list[socket.socket]:
    """Sockets on every address of a host, all on one port, also where 0 leaves the choice to the system. ``beside``
    others of this user's that allow it, each with its part of the clients.

    Raises OSError, and then none of them stays open.
    """
    found: list[socket.socket] = []
    failure: OSError | None = None
    infos = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, address in dict.fromkeys((info[0], info[4]) for info in infos):
        chosen = (address[0], found[0].getsockname()[1] if found else port, *address[2:])
        try:
            found.append(socket.create_server(chosen, family=family, backlog=BACKLOG, reuse_port=beside))
            found[-1].setblocking(False)
        except OSError as error:
            failure = failure or error
            # localhost can have an address of a family that this machine does not use.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                found = _closed(found)
                break
    if not found:
        raise failure or OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
    return found


def _closed(sockets: list[socket.socket]) -> list[socket.socket]:
    for each in sockets:
        each.close()
    return []
