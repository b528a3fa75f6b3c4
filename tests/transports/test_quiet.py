"""HTTP that is none, or not ours: short answers, bounded patience, and not a word of it in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from sqla_realtime.transports.assets import AssetHandler
from sqla_realtime.transports.quiet import discretion
from tests.support.scene import Ear, Scene, live
from tests.support.wire import Wire

SECRET = "s3cret-of-a-client"  # noqa: S105
HOST = b"Host: localhost\r\n"

MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET /?token=s3cret-of-a-client\r\n\r\n",
    "another version": b"GET /?token=s3cret-of-a-client HTTP/9.9\r\n" + HOST + b"\r\n",
    "a control character in a cookie": b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: session=s3cret-of-a-client\x01\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + HOST + b"Cookie session=s3cret-of-a-client\r\n\r\n",
    "no host": b"GET /?token=s3cret-of-a-client HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "a query that is too much": b"GET /?" + b"&".join([b"s3cret-of-a-client=1"] * 700) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "smuggled length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nGET /",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nGET /",
    "length and chunks": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk without size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a long header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"s3cret-of-a-client" * 1000 + b"\r\n\r\n",
    "a large body": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n",
    "a form": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=\r\nContent-Length: 4\r\n\r\nabcd",
    "zipped nonsense": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
}


@live
async def test_what_is_no_request_is_refused_in_silence(scene: Callable[..., Scene], ear: Ear) -> None:
    made = scene(hello_timeout=0.5)
    ear.secrets.append(SECRET)
    async with made.canary():
        for name, data in MALFORMED.items():
            with Wire(made.port) as wire:
                wire.send(data)
                answer = wire.rest()
            assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), name
            assert SECRET.encode() not in answer
            made.write()


@live
async def test_whoever_dawdles_is_not_waited_for(scene: Callable[..., Scene]) -> None:
    made = scene(hello_timeout=0.05)
    head = b"POST / HTTP/1.1\r\n" + HOST
    for start in (b"", b"G", head[:20], head, head + b"Content-Length: 100\r\n\r\nhalf of it"):
        with Wire(made.port) as wire:
            wire.send(start)
            wire.rest()  # returns when the server has closed it


def test_errors_are_short(scene: Callable[..., Scene]) -> None:
    with Wire(scene().port) as wire:
        for path in ("/", "/realtime", "/realtime/", "/realtime/ws/", "/favicon.ico", "/<script>", "//", "/%"):
            answer = wire.get(path)
            assert (answer.status, answer.body) == (404, b"Not Found\n")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert "server" not in answer.headers
        assert wire.get("http://evil.example/realtime/ws").status in (400, 404)
        assert wire.get("*", method="OPTIONS").status == 404


def test_our_own_mistake_is_logged_by_path_alone(
    scene: Callable[..., Scene], ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(handler: AssetHandler, name: str) -> None:
        raise RuntimeError("our mistake")

    monkeypatch.setattr(AssetHandler, "get", broken)
    ear.secrets.append(SECRET)
    ear.tracebacks = 1
    with Wire(scene().port) as wire:
        answer = wire.get(f"/realtime/realtime.js?token={SECRET}", Cookie=f"session={SECRET}")
    assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert "A request to /realtime/realtime.js failed. [request-failed]" in ear.text


def test_discretion_is_about_its_own_thread_and_time(ear: Ear) -> None:
    log = logging.getLogger("tornado.general")
    with discretion():
        log.info("Malformed HTTP message from %s: %s", "1.2.3.4", SECRET)
        log.info("Another message: %s", "kept")
        assert SECRET not in ear.text
        assert "kept" in ear.text
    log.info("Malformed HTTP message from %s: %s", "1.2.3.4", SECRET)
    assert SECRET in ear.text
