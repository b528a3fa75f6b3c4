"""The bell: it wakes whoever waits, is remembered until it is silenced, and does not keep a socket from being heard."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from sqla_realtime.brokers.bell import Bell


@pytest.fixture
def bell() -> Iterator[Bell]:
    bell = Bell()
    yield bell
    bell.close()


def test_it_is_remembered_until_it_is_silenced(bell: Bell) -> None:
    for _ in range(3):
        bell.ring()
    bell.wait(None)
    bell.wait(None)
    bell.silence()
    bell.silence()
    threading.Timer(0.01, bell.ring).start()
    bell.wait(None)


def test_a_socket_is_heard_as_well(bell: Bell) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.send(b"x")
        bell.wait(None, here.fileno())
        here.recv(1)
        bell.ring()
        bell.wait(None, here.fileno())
        bell.silence()
        bell.wait(0, here.fileno())


def test_after_it_was_closed_it_can_be_rung_in_vain() -> None:
    bell = Bell()
    bell.close()
    bell.ring()
