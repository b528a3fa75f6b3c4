"""The pump: one send a turn, the next when the last is gone, and a cut that waits for no reader."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from tornado.iostream import StreamClosedError

from sqla_realtime.hub.connection import Queued, several
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.transports import flusher
from sqla_realtime.transports.flusher import Flusher
from sqla_realtime.transports.pump import Pump
from tests.support.scene import live


class Socket:
    """A socket that takes as many bytes as the test lets it, and the stream around it, whose buffer has the rest."""

    def __init__(self, budget: int = 1000, most: int = 1000, buffered: bool = False) -> None:
        self.sent: list[bytes] = []
        self.takes = sys.maxsize
        self.buffered: list[bytes] = []
        self.futures: list[asyncio.Future[None]] = []
        self.drained = 0
        self.frame_fault = self.at_once = self.closed = self.broken = False
        self.full = buffered
        stream: Any = self
        self.socket = self
        self.connection = self.pump = Pump(V1(), budget)
        self.pump.attach(stream, Flusher(), self.frame, self.empty, most=most)

    def send(self, data: bytes) -> int:
        if self.broken:
            raise ConnectionResetError
        if not self.takes:
            raise BlockingIOError
        self.sent.append(data[: self.takes])
        return len(self.sent[-1])

    def writing(self) -> bool:
        return self.full

    def write(self, data: bytes) -> asyncio.Future[None]:
        if self.closed:
            raise StreamClosedError
        self.buffered.append(data)
        self.futures.append(asyncio.get_running_loop().create_future())
        if self.at_once:
            self.futures[-1].set_result(None)
        return self.futures[-1]

    def frame(self, queued: Queued) -> bytes:
        if self.frame_fault:
            raise ValueError
        return b"".join(several(queued))

    def empty(self) -> None:
        self.drained += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "releasing", Socket.send)


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@live
async def test_before_it_is_attached_it_only_collects() -> None:
    pump = Pump(V1(), 1000)
    pump.send(b"1")
    pump.close(CloseCode.RESTARTING)
    assert len(several(pump.drain())) == 2


@live
async def test_what_waits_has_never_waited_since_before_the_beginning() -> None:
    """Or the first message of all would be taken for one that nobody has taken for ages."""
    before = asyncio.get_running_loop().time()
    assert Socket().connection.sent_at >= before


@live
async def test_what_comes_in_one_turn_leaves_in_one_send() -> None:
    socket = Socket()
    for data in (b"1", b"2", b"3"):
        socket.connection.send(data)
    assert socket.sent == [], "a wake-up never writes by itself"
    await turn()
    assert (socket.sent, socket.buffered, socket.connection.pending) == ([b"123"], [], 0)
    assert socket.connection.sent_at > 0


@live
async def test_what_the_socket_does_not_take_is_waited_for() -> None:
    socket = Socket()
    for takes, data in ((2, b"12345"), (0, b"6789")):
        socket.takes = takes
        socket.connection.send(data)
        await turn()
        socket.connection.send(b"x")
        await turn()
        assert (socket.buffered.pop(), socket.connection.pending) == (data[takes:], len(data) + 1)
        socket.takes = sys.maxsize
        socket.futures[-1].set_result(None)
        await turn()
        assert (socket.sent.pop(), socket.connection.pending) == (b"x", 0)
    assert socket.sent == [b"12"]


@live
async def test_what_the_stream_takes_at_once_is_gone() -> None:
    """The socket was full, and is not any more when the stream tries."""
    socket = Socket(most=10)
    socket.takes, socket.at_once = 2, True
    for data in (b"123456789x", b"12345"):
        socket.connection.send(data)
    await turn()
    assert (socket.sent, socket.buffered) == ([b"12", b"12"], [b"3456789x", b"345"])
    assert socket.connection.pending == 0
    assert socket.drained > 0


@live
async def test_a_large_message_that_the_socket_takes_slowly_is_still_no_pile() -> None:
    socket = Socket(budget=10)
    socket.takes = 3
    socket.connection.send(b"x" * 100)
    await turn()
    for _ in range(2):
        socket.connection.send(b"12345")
    assert (socket.connection.close_code, socket.connection.pending) == (None, 110)
    socket.takes = 0
    socket.futures[0].set_result(None)
    await turn()
    for _ in range(4):
        socket.connection.send(b"12345")
    assert socket.connection.close_code is CloseCode.SLOW_CONSUMER, "from then on it is as with anybody"


@live
async def test_nothing_overtakes_what_is_in_the_streams_buffer() -> None:
    """What was written before there was a pump, and what it was told to say."""
    socket = Socket(buffered=True)
    assert socket.buffered == [b""]
    socket.connection.send(b"1")
    await turn()
    assert socket.sent == []
    socket.futures[0].set_result(None)
    await turn()
    assert socket.sent == [b"1"]
    socket.pump.say(b"ping")
    socket.pump.say(b"pong")
    socket.connection.send(b"2")
    socket.futures[1].set_result(None)
    await turn()
    assert socket.sent == [b"1"], "the pong is still there"
    socket.futures[2].set_result(None)
    await turn()
    assert socket.sent == [b"1", b"2"]


@live
async def test_where_something_is_said_within_a_turn_the_rest_of_it_comes_later() -> None:
    socket = Socket()
    socket.connection.send(b"1")
    socket.pump.say(b"ping")
    await turn()
    assert (socket.sent, socket.connection.pending) == ([], 1)
    socket.futures[0].set_result(None)
    await turn()
    assert socket.sent == [b"1"]


@live
async def test_who_closes_is_drained_first() -> None:
    socket = Socket()
    socket.takes = 1
    socket.connection.send(b"12")
    socket.connection.close(CloseCode.RESTARTING)
    await turn()
    assert socket.drained == 0
    socket.futures[0].set_result(None)
    await turn()
    assert socket.drained == 1


@live
async def test_a_cut_waits_for_no_write() -> None:
    socket = Socket(budget=10)
    socket.takes = 0
    socket.connection.send(b"x" * 10)
    await turn()
    for data in (b"y", b"one too many"):
        socket.connection.send(data)
    assert socket.connection.close_code is CloseCode.SLOW_CONSUMER
    assert not socket.closed, "not within the hub's own turn"
    await turn()
    assert socket.closed


@live
async def test_after_its_end_nothing_happens() -> None:
    socket = Socket()
    socket.takes = 0
    socket.connection.send(b"1")
    await turn()
    socket.pump.stop()
    socket.connection.send(b"2")
    socket.futures[0].set_result(None)
    socket.connection.abort(CloseCode.RESTARTING)
    await turn()
    assert (socket.buffered, socket.sent, socket.drained, socket.closed) == ([b"1"], [], 0, False)


@live
async def test_a_stream_that_is_gone_is_no_error() -> None:
    socket = Socket()
    socket.takes = 0
    socket.connection.send(b"1")
    await turn()
    socket.futures[0].set_exception(StreamClosedError())
    await turn()
    assert socket.connection.pending == 1
    socket.closed = True
    assert socket.pump.say(b"ping") is None


@live
async def test_what_could_not_be_framed_is_not_taken_for_sent() -> None:
    """So that the client is cut, and not left with a gap, when it has taken nothing for two pings."""
    socket = Socket()
    socket.frame_fault = True
    socket.connection.send(b"1")
    await turn()
    assert (socket.sent, socket.connection.pending) == ([], 1)


@live
async def test_a_socket_that_is_broken_ends_its_stream() -> None:
    socket = Socket()
    socket.broken = True
    socket.connection.send(b"1")
    await turn()
    assert (socket.closed, socket.drained) == (True, 0)


@live
async def test_a_socket_that_takes_everything_is_written_to_in_pieces_all_the_same() -> None:
    socket = Socket(most=10)
    for _ in range(3):
        socket.connection.send(b"x" * 6)
    await turn()
    assert [len(data) for data in socket.sent] == [12, 6]
    assert socket.connection.pending == 0
    socket.connection.close(CloseCode.RESTARTING)
    await turn()
    assert (len(socket.sent), socket.drained) == (3, 1)
