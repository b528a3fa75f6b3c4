"""A request on its way to another process: nothing of it is lost, and what it says of how it would come is not said again."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Finish

from sqla_realtime.transports.handover import Handed, give, receive, spelled, taken_off
from tests.support.scene import live


def made(method: str, headers: dict[str, str], uri: str = "/x?y=1") -> HTTPServerRequest:
    return HTTPServerRequest(start_line=RequestStartLine(method, uri, "HTTP/1.1"), headers=HTTPHeaders(headers))


def test_a_request_is_spelled_as_it_came() -> None:
    request = made("GET", {"Host": "h", "Cookie": "caf\xe9"})
    request.headers.add("X-Forwarded-For", "1.1.1.1")
    request.headers.add("X-Forwarded-For", "2.2.2.2")
    assert spelled(request, b"") == (
        b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\nCookie: caf\xe9\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n"
    )


@pytest.mark.parametrize("how", [{"Content-Length": "3"}, {"Transfer-Encoding": "chunked", "Expect": "100-continue"}])
def test_a_body_is_behind_its_length(how: dict[str, str]) -> None:
    assert (
        spelled(made("POST", {"Host": "h", **how}), b"abc")
        == b"POST /x?y=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    )


def test_a_body_is_never_the_next_request() -> None:
    spelling = spelled(made("GET", {"Host": "h", "Content-Length": "5"}), b"GET /")
    assert spelling == b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /"


@live
async def test_a_stream_goes_on_elsewhere() -> None:
    client, server = socket.socketpair()
    here, there = socket.socketpair()
    for each in (server, here, there):
        each.setblocking(False)
    with client, here, there:
        stream = IOStream(server)
        client.sendall(b"request, and more")
        assert await stream.read_bytes(7) == b"request"
        connection, behind = taken_off(stream)
        assert (stream.closed(), behind) == (True, b", and more")
        with connection:
            await give(here, connection, b"request" + behind)
        handed = await receive(there, 100)
        client.sendall(b" to come")
        assert await handed.read_bytes(25) == b"request, and more to come"
        await handed.write(b"answer")
        assert await asyncio.to_thread(client.recv, 100) == b"answer"
        handed.close()
        assert client.recv(1) == b""


@live
async def test_who_has_left_leaves_elsewhere_too() -> None:
    client, server = socket.socketpair()
    server.setblocking(False)
    stream = IOStream(server)
    client.close()
    connection, behind = taken_off(stream)
    assert behind == b""
    handed = Handed(connection, b"begun")
    assert await handed.read_bytes(5) == b"begun"
    with pytest.raises(StreamClosedError):
        await handed.read_bytes(1)


@live
async def test_what_is_no_handover_is_closed() -> None:
    client, server = socket.socketpair()
    with client:
        for data, most in [(b"\0\0\0\5ab", 100), (b"\0\0\0\5abcde", 4), (b"\0\0", 100)]:
            here, there = socket.socketpair()
            there.setblocking(False)
            with here, there:
                socket.send_fds(here, [data], [server.fileno()])
                here.shutdown(socket.SHUT_WR)
                with pytest.raises(EOFError):
                    await receive(there, most)
        server.close()
        assert client.recv(1) == b""


@live
async def test_where_no_file_is_left_for_it_the_connection_is_closed() -> None:
    client, server = socket.socketpair()

    class Full(socket.socket):
        def dup(self) -> socket.socket:
            raise OSError(errno.EMFILE, "full")

    with client:
        stream = IOStream(Full(fileno=server.detach()))
        stream.socket.setblocking(False)
        with pytest.raises(Finish):
            taken_off(stream)
        assert stream.closed()
        assert client.recv(1) == b""
