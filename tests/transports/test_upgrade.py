"""What is a handshake and what is none, from headers alone; the answer is the one of RFC 6455's own example."""

from __future__ import annotations

import pytest

from sqla_realtime.hub.doors import Refused
from sqla_realtime.transports.upgrade import answer, asks, check, select

GOOD = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_asking() -> None:
    assert asks(GOOD)
    assert asks({"upgrade": "WebSocket"})
    for other in ({}, {"upgrade": ""}, {"upgrade": "h2c"}, {"upgrade": "websocket,websocket"}):
        assert not asks(other)


@pytest.mark.parametrize("connection", ["Upgrade", "upgrade", "keep-alive, Upgrade", "keep-alive,\tUPGRADE ,x"])
def test_a_handshake(connection: str) -> None:
    check("GET", "HTTP/1.1", {**GOOD, "connection": connection})
    check("GET", "HTTP/1.1", {**GOOD, "connection": connection, "content-length": "0"})


BAD = [
    ("POST", "HTTP/1.1", {}, "malformed"),
    ("HEAD", "HTTP/1.1", {}, "malformed"),
    ("GET", "HTTP/1.0", {}, "malformed"),
    ("GET", "HTTP/1.1", {"content-length": "5"}, "malformed"),
    ("GET", "HTTP/1.1", {"transfer-encoding": "chunked"}, "malformed"),
    ("GET", "HTTP/1.1", {"connection": ""}, "malformed"),
    ("GET", "HTTP/1.1", {"connection": "keep-alive"}, "malformed"),
    ("GET", "HTTP/1.1", {"connection": "upgraded"}, "malformed"),
    *(("GET", "HTTP/1.1", {"sec-websocket-version": text}, "upgrade-required") for text in ("", "8", "13,13", "013", "x")),
    *(
        ("GET", "HTTP/1.1", {"sec-websocket-key": text}, "malformed")
        for text in (
            "", "x", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==,dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZSE=", "dGhl IHNhbXBsZSBub25jZQ==", "\xe9" * 24, "=" * 24, "dGhlIHNhbXBsZSBub25j\x00Q==",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("method", "version", "headers", "code"), BAD)
def test_what_is_none(method: str, version: str, headers: dict[str, str], code: str) -> None:
    with pytest.raises(Refused) as caught:
        check(method, version, {**GOOD, **headers})
    assert caught.value.code == code
    for value in headers.values():
        assert len(value) < 3 or value not in caught.value.message


def test_no_header_at_all() -> None:
    with pytest.raises(Refused):
        check("GET", "HTTP/1.1", {})


def test_the_first_known_subprotocol_is_selected() -> None:
    assert select({"sec-websocket-protocol": "x,a ,b"}, ["b", "a"]) == "a"
    for offer in ({}, {"sec-websocket-protocol": ""}, {"sec-websocket-protocol": "A,,ab"}):
        with pytest.raises(Refused):
            select(offer, ["a", "b"])


def test_the_answer_of_the_standard() -> None:
    assert answer("dGhlIHNhbXBsZSBub25jZQ==", "chat") == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
