"""The pump: one write a turn, the next when the last is gone, and a cut that waits for no reader."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.iostream import StreamClosedError

from sqla_realtime.hub.connection import Connection
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.transports.flusher import Flusher
from sqla_realtime.transports.pump import Pump
from tests.support.scene import live


class Socket:
    """A stream that takes what it is given when the test says so."""

    def __init__(self, budget: int = 1000, most: int = 1000) -> None:
        self.written: list[list[bytes]] = []
        self.futures: list[asyncio.Future[None]] = []
        self.drained = 0
        self.takes = False
        self.closed = False
        self.connection = Connection(V1(), budget)
        stream: Any = self
        self.pump = Pump(self.connection, stream, Flusher(), self.write, self.empty, most=most)

    def write(self, messages: list[bytes]) -> asyncio.Future[None] | None:
        if self.closed:
            raise StreamClosedError
        self.written.append(messages)
        if self.takes:
            return None
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def empty(self) -> None:
        self.drained += 1

    def close(self) -> None:
        self.closed = True


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@live
async def test_what_comes_in_one_turn_leaves_in_one_write() -> None:
    socket = Socket()
    for data in (b"1", b"2", b"3"):
        socket.connection.send(data)
    assert socket.written == [], "a wake-up never writes by itself"
    await turn()
    assert socket.written == [[b"1", b"2", b"3"]]
    assert socket.connection.sent_at > 0


@live
async def test_the_next_write_waits_for_the_last() -> None:
    socket = Socket()
    socket.connection.send(b"1")
    await turn()
    socket.connection.send(b"22")
    await turn()
    assert (socket.written, socket.connection.pending) == ([[b"1"]], 3)
    socket.futures[0].set_result(None)
    await turn()
    assert (socket.written, socket.connection.pending) == ([[b"1"], [b"22"]], 2)
    assert socket.drained == 0
    socket.futures[1].set_result(None)
    await turn()
    assert (socket.drained, socket.connection.pending) == (1, 0)


@live
async def test_a_cut_waits_for_no_write() -> None:
    socket = Socket(budget=10)
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
    socket.connection.send(b"1")
    await turn()
    socket.pump.stop()
    socket.connection.send(b"2")
    socket.futures[0].set_result(None)
    socket.connection.abort(CloseCode.RESTARTING)
    await turn()
    assert (socket.written, socket.drained, socket.closed) == ([[b"1"]], 0, False)


@live
async def test_a_stream_that_is_gone_is_no_error() -> None:
    socket = Socket()
    socket.connection.send(b"1")
    await turn()
    socket.futures[0].set_exception(StreamClosedError())
    await turn()
    assert socket.connection.pending == 1
    other = Socket()
    other.close()
    other.connection.send(b"1")
    await turn()
    assert (other.written, other.drained) == ([], 0)


@live
async def test_a_socket_that_takes_everything_is_written_to_in_pieces_all_the_same() -> None:
    socket = Socket(most=10)
    socket.takes = True
    for _ in range(3):
        socket.connection.send(b"x" * 6)
    await turn()
    assert [len(messages) for messages in socket.written] == [2, 1]
    assert socket.connection.pending == 0
    socket.connection.close(CloseCode.RESTARTING)
    await turn()
    assert (len(socket.written), socket.drained) == (3, 1)
