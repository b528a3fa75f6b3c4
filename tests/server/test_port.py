"""The port: many addresses of a host, one port with siblings, and never with anybody else, whoever comes at the same moment."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from sqla_realtime.errors import PortInUse, PortOfSibling
from sqla_realtime.server import port as ports
from sqla_realtime.server.port import Place, listen, take
from sqla_realtime.transports.family import PREFIX, Family, can_share
from tests.support.processes import free_ports

HOST = "127.0.0.1"
sharing = pytest.mark.skipif(not can_share(), reason="no port can be shared here")
Take = Callable[..., Place]


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port that somebody else listens on."""
    with socket.create_server((HOST, 0)) as listening:
        yield listening


@pytest.fixture
def taking() -> Iterator[Take]:
    """Takes places, and leaves them after the test."""
    with ExitStack() as stack:

        def do(port: int, log: str | None, *, shared: bool = True) -> Place:
            family = None if log is None else Family(f"{log} {os.getpid()}")
            place = take(HOST, port, family, shared=shared)
            stack.callback(place.close)
            return place

        yield do


V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("addresses", "families"),
    [
        ([(V4, ("127.0.0.1", 0))], [V4]),
        ([(V4, ("127.0.0.1", 0)), (V4, ("127.0.0.1", 0))], [V4]),  # a name that is listed twice
        ([(V4, ("127.0.0.1", 0)), (V4, ("127.0.0.2", 0))], [V4, V4]),
        ([(V4, ("192.0.2.1", 0)), (V4, ("127.0.0.1", 0))], [V4]),  # an address that this machine does not have
        ([(V6, ("2001:db8::1", 0, 0, 0)), (V4, ("127.0.0.1", 0))], [V4]),
    ],
)
def test_a_host_may_have_many_addresses(
    monkeypatch: pytest.MonkeyPatch, addresses: list[tuple[int, Any]], families: list[int]
) -> None:
    infos = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **named: infos)
    listening = listen("some.host", 0)
    try:
        assert [each.family for each in listening] == families
        assert len({each.getsockname()[1] for each in listening}) == 1
    finally:
        for each in listening:
            each.close()


def test_one_taken_address_is_a_taken_port(monkeypatch: pytest.MonkeyPatch, taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    infos = [(V4, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **named: infos)
    with pytest.raises(OSError) as caught:
        listen("some.host", port)
    assert caught.value.errno == errno.EADDRINUSE
    monkeypatch.undo()
    socket.create_server(("127.0.0.2", port)).close()  # the other one has been let go


def accepted(place: Place) -> int:
    """How many clients have come to it."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            place.sockets[0].accept()[0].close()
            count += 1
    return count


@sharing
def test_siblings_share_a_port_and_each_has_a_part_of_the_clients(taking: Take) -> None:
    first = taking(0, "one log")
    second = taking(first.port, "one log")
    third = taking(first.port, "one log")
    assert first.port == second.port == third.port
    assert len({place.door and place.door.via for place in (first, second, third)}) == 3
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection((HOST, first.port)))
        for place in (first, second, third):
            assert accepted(place) > 30
    # Whoever was first may go as any other.
    first.close()
    taking(second.port, "one log")


@sharing
@pytest.mark.parametrize("other", ["another log", None])
def test_a_port_is_shared_with_nobody_else(taking: Take, other: str | None) -> None:
    first = taking(0, "one log")
    port = first.port
    second = taking(port, "one log")
    for _ in range(2):
        with pytest.raises(PortInUse) as caught:
            taking(port, other, shared=False)
        assert caught.type is PortInUse
        first.close()  # the one that is left shares it as little
    second.close()
    taking(port, other)
    with pytest.raises(PortInUse):
        taking(port, "one log", shared=False)


@sharing
def test_a_program_that_would_share_its_port_is_not_joined(taking: Take) -> None:
    with socket.create_server((HOST, 0), reuse_port=True) as stranger, pytest.raises(PortInUse) as caught:
        taking(stranger.getsockname()[1], "one log")
    assert caught.type is PortInUse


@sharing
def test_where_a_sibling_can_not_be_joined_it_is_named(taking: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    first = taking(0, "one log")
    first.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    with pytest.raises(PortOfSibling):
        taking(first.port, "one log")


def test_without_a_family_a_taken_port_may_be_a_siblings(taking: Take, taken: socket.socket) -> None:
    with pytest.raises(PortOfSibling):
        taking(taken.getsockname()[1], None, shared=True)
    with pytest.raises(PortInUse) as caught:
        taking(taken.getsockname()[1], None, shared=False)
    assert caught.type is PortInUse


@sharing
def test_who_comes_while_a_sibling_is_taking_the_port_waits_for_its_turn(taking: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would find a port that is taken by nobody whom it knows."""
    [port] = free_ports(1)
    places: list[Place] = []
    seen = threading.Event()
    settle, sleep = Family.settle, ports.time.sleep

    def come() -> None:
        try:
            places.append(taking(port, "one log"))
        finally:
            seen.set()

    other = threading.Thread(target=come)

    def slowly(family: Family, number: int) -> object:
        monkeypatch.setattr(Family, "settle", settle)
        other.start()
        assert seen.wait(20), "it neither waits nor has it been told anything"
        return settle(family, number)

    monkeypatch.setattr(Family, "settle", slowly)
    monkeypatch.setattr(ports.time, "sleep", lambda seconds: (seen.set(), sleep(seconds)))
    places.append(taking(port, "one log"))
    other.join()
    assert [place.port for place in places] == [port, port]


@sharing
def test_a_turn_that_never_comes_is_not_waited_for(taking: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has taken the name keeps nobody from starting."""
    monkeypatch.setattr(ports, "TURN", 0.02)
    [port] = free_ports(1)
    with socket.socket(socket.AF_UNIX) as name:
        name.bind(f"{PREFIX}/{os.geteuid()}/{port}")
        taking(port, "one log")
        taking(port, "one log")
