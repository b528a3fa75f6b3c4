"""The send that keeps the interpreter's lock: it does what the ordinary one does, and no thread gets in between."""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from sqla_realtime.transports.gil import Send, keeping, releasing

BOTH = pytest.mark.parametrize("send", [keeping, releasing])


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection, the first of which does not block."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_there_is_one_here() -> None:
    assert keeping is not releasing


@BOTH
def test_it_sends(ends: tuple[socket.socket, socket.socket], send: Send) -> None:
    ours, theirs = ends
    assert send(ours, b"a\0b") == 3
    assert theirs.recv(10) == b"a\0b"


@BOTH
def test_a_full_socket_takes_a_part_and_then_nothing(ends: tuple[socket.socket, socket.socket], send: Send) -> None:
    ours, theirs = ends
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = bytes(range(256)) * 4096
    sent = send(ours, data)
    assert 0 < sent < len(data)
    while select.select([], [ours], [], 0)[1]:
        sent += send(ours, data)
    with pytest.raises(BlockingIOError):
        send(ours, data)
    heard = 0
    while heard < sent:
        heard += len(theirs.recv(65536))
    assert heard == sent


@BOTH
def test_it_raises_what_a_socket_raises(ends: tuple[socket.socket, socket.socket], send: Send) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(BrokenPipeError):
        send(ours, b"1")
    ours.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        send(ours, b"1")


def test_no_other_thread_runs_meanwhile(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    turns, end = 0, threading.Event()

    def compute() -> None:
        nonlocal turns
        while not end.is_set():
            turns += 1
            time.sleep(0)  # it gives the lock back at once, lest the test never get it

    thread = threading.Thread(target=compute)
    interval = sys.getswitchinterval()
    # Nobody may take the lock by himself.
    sys.setswitchinterval(60)
    thread.start()
    try:
        while not turns:
            time.sleep(0)  # nobody takes the lock, so it is given: until the thread has begun
        for _ in range(20):
            before = turns
            for _ in range(50):
                keeping(ours, b"1")
            assert turns == before
            theirs.recv(1000)
    finally:
        end.set()
        sys.setswitchinterval(interval)
        thread.join()
