"""The server's thread: a port that is taken, a stop and a start, and a fork that must not hold what is not its own."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sqla_realtime import Realtime
from sqla_realtime.errors import PortInUse
from tests.support.scene import Scene
from tests.support.wire import Wire

Make = Callable[..., Scene]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port that somebody else listens on."""
    listening = socket.create_server(("127.0.0.1", 0))
    yield listening
    listening.close()


def test_a_taken_port_is_named(scene: Make, taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    with pytest.raises(PortInUse) as caught:
        scene(port=port)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "REALTIME_PORT" in str(caught.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "sqla-realtime"]


def test_after_a_taken_port_a_later_start_works(scene: Make, realtime: Callable[..., Realtime], taken: socket.socket) -> None:
    made = scene()
    made.realtime.stop()
    other = realtime(port=taken.getsockname()[1])
    other.enable(made.sessions)
    with pytest.raises(PortInUse):
        other.start()
    assert not other.running
    taken.close()
    other.start()
    assert other.running


def test_another_failure_to_listen_is_told_as_it_is(scene: Make) -> None:
    with pytest.raises(OSError) as caught:
        scene(host="192.0.2.1")  # an address that is nobody's (RFC 5737)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_the_thread_ends_with_stop(scene: Make) -> None:
    made = scene()
    [thread] = [thread for thread in threading.enumerate() if thread.name == "sqla-realtime"]
    assert thread.daemon
    port = made.port
    made.realtime.stop()
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        Wire(port)


def test_starts_and_stops_leave_no_files_open(scene: Make) -> None:
    made = scene()
    made.realtime.stop()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        made.realtime.start()
        with Wire(made.port) as wire:
            wire.ask()
        made.realtime.stop()
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before


FORK = """
import os, signal
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from sqla_realtime import Realtime
from tests.support.wire import Wire

realtime = Realtime(port=0)
realtime.enable(sessionmaker(create_engine("sqlite://")))
realtime.start()
port = realtime.port
reading, writing = os.pipe()
with Wire(port) as wire:
    wire.ask()
    wire.say({"type": "hello"})
    wire.hear()
    child = os.fork()
    if not child:
        before = realtime.running
        realtime.start()
        with Wire(realtime.port) as own:
            os.write(writing, b"%d %d %d" % (before, own.ask().status, realtime.port != port))
        signal.pause()
    try:
        print(os.read(reading, 100).decode())
        # The parent's clients are none of the child's business.
        wire.say({"type": "ping"})
        print(wire.hear()["type"])
        realtime.stop()
        wire.rest()
        print("closed")
        try:
            Wire(port)
        except ConnectionRefusedError:
            print("free")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_holds_neither_the_port_nor_the_clients() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split("\n") == ["0 101 1", "pong", "closed", "free", ""], done.stderr
