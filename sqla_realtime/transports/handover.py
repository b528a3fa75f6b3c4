"""A request that another process is to answer: its socket passes there with what was read of it, as if it had been accepted
there. So answers that take long, and clients that leave, are that process's own matter from then on.
"""

from __future__ import annotations

import asyncio
import socket

from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.web import Finish

# What is said of the length of what comes behind it, and along with the socket.
HEAD = 4
# How much is looked for behind a request: more than this nobody has sent before there was an answer.
BEHIND = 64 * 1024


class Handed(IOStream):
    """A stream of which another process has read the beginning."""

    def __init__(self, connection: socket.socket, begun: bytes) -> None:
        self._begun = memoryview(begun)
        super().__init__(connection)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        if not self._begun:
            return super().read_from_fd(buf)
        size = min(len(buf), len(self._begun))
        buf[:size] = self._begun[:size]
        self._begun = self._begun[size:]
        return size


def spelled(request: HTTPServerRequest, body: bytes) -> bytes:
    """A request as it stands on a wire. What was said about how it would come has been done."""
    done = ("content-length", "transfer-encoding", "expect")
    lines = [f"{name}: {value}" for name, value in request.headers.get_all() if name.lower() not in done]
    if body or request.method != "GET":  # also of a GET: what is not announced would be the next request
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"{request.method} {request.uri} {request.version}", *lines, "", ""])
    return head.encode("latin-1") + body  # as Tornado has read it


def taken_off(stream: IOStream) -> tuple[socket.socket, bytes]:
    """The socket of a stream, which is closed by that, and what has come already and was not asked for. Raises Finish where
    that is too much, or the system has no file for it."""
    try:
        connection = stream.socket.dup()
    except OSError:  # no file is left for it, and nobody else has the stream any more
        stream.close()
        raise Finish from None
    behind = asyncio.ensure_future(stream.read_bytes(BEHIND, partial=True))
    stream.close()
    found = behind.result() if behind.done() and behind.exception() is None else b""
    if len(found) == BEHIND:
        # There may be more: what comes behind a gap would be read as the beginning of a request.
        connection.close()
        raise Finish
    return connection, found


async def give(way: socket.socket, connection: socket.socket, begun: bytes) -> None:
    """Send a socket, and what was read of it. Raises OSError."""
    socket.send_fds(way, [len(begun).to_bytes(HEAD)], [connection.fileno()])
    await asyncio.get_running_loop().sock_sendall(way, begun)


async def receive(way: socket.socket, most: int) -> Handed:
    """What ``give`` has sent. Raises OSError, and EOFError for whatever else it may be."""
    await _readable(way)
    head, descriptors, *_ = socket.recv_fds(way, HEAD, 1, socket.MSG_CMSG_CLOEXEC)
    connections = [socket.socket(fileno=each) for each in descriptors]
    begun = bytearray()
    try:
        size = int.from_bytes(head)
        if len(head) != HEAD or len(connections) != 1 or size > most:
            raise EOFError
        while len(begun) < size:
            piece = await asyncio.get_running_loop().sock_recv(way, size - len(begun))
            if not piece:
                raise EOFError
            begun += piece
        connections[0].setblocking(False)
        return Handed(connections[0], bytes(begun))
    except BaseException:
        for each in connections:
            each.close()
        raise


async def _readable(way: socket.socket) -> None:
    """Wait until there is something to receive, which asyncio would do without the sockets that come along."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(way, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(way)
