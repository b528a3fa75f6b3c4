"""The watchdog: whoever waits in vain for an answer fails, with a reason, and whoever gets on or waits for nothing does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from sqla_realtime.brokers.watchdog import Watchdog
from sqla_realtime.errors import LogUnreachable


@pytest.fixture
def dog() -> Iterator[Watchdog]:
    dog = Watchdog(0.05)
    yield dog
    dog.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    here.settimeout(20)
    with here, there:
        yield here, there


def ask(dog: Watchdog, here: socket.socket) -> None:
    """Ask on a new connection, and wait for the answer."""
    with dog.over():
        dog.adopt(here)
        if not here.recv(1):
            raise EOFError


def test_a_server_that_gives_no_answer_is_given_up(dog: Watchdog, pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(LogUnreachable, match=r"0\.05 s"):
        ask(dog, pair[0])


def test_what_fails_by_itself_has_its_own_reason(dog: Watchdog, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(EOFError):
        ask(dog, pair[0])


class Looks(threading.Event):
    """The watchdog's clock: between two of so many looks something is done."""

    def __init__(self, count: int, between: Callable[[], None]) -> None:
        super().__init__()
        self._left = count
        self._between = between

    def wait(self, timeout: float | None = None) -> bool:
        self._between()
        self._left -= 1
        return self._left < 0


@pytest.mark.parametrize(("what", "alive"), [("rest", True), ("work", True), ("nothing", False)])
def test_whoever_waits_for_nothing_or_gets_on_is_left_alone(
    dog: Watchdog, pair: tuple[socket.socket, socket.socket], what: str, alive: bool
) -> None:
    dog._thread = threading.current_thread()
    dog._closed = Looks(100, getattr(dog, what) if alive else lambda: None)
    with dog.over():
        dog.adopt(pair[0])
        dog._watch()
        pair[0].setblocking(False)
        try:
            assert (pair[0].recv(1) == b"") is not alive
        except BlockingIOError:
            assert alive
        dog._bitten = None


def test_what_takes_long_is_given_more_time_the_next_time(dog: Watchdog) -> None:
    for expected in (0.05, 0.1, 0.2):
        here, there = socket.socketpair()
        here.settimeout(20)
        with here, there, pytest.raises(LogUnreachable) as caught:
            ask(dog, here)
        assert caught.value.facts["patience"] == expected
    dog.rest()
    assert dog._slack == 1


def test_a_connection_without_a_socket_is_not_watched(dog: Watchdog) -> None:
    with dog.over():
        dog.adopt(object())
        dog.cut()
    assert dog._thread is None


def test_closing_it_ends_its_thread(dog: Watchdog, pair: tuple[socket.socket, socket.socket]) -> None:
    with dog.over():
        dog.adopt(pair[0])
    assert dog._thread is not None
    dog.close()
    dog._thread.join(20)
    assert not dog._thread.is_alive()
