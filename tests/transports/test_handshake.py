"""Who may come in: the gate's comparisons one by one, and the coded answers of a real server to odd Origins and Hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sqla_realtime.hub.doors import Refused
from sqla_realtime.transports.handshake import Gate
from tests.support.scene import Scene, live
from tests.support.wire import Wire

HOST = "127.0.0.1:8765"


def verdict(gate: Gate, host: str | None, origin: str | None) -> str:
    """The code of the refusal, or "in"."""
    headers = {name: value for name, value in (("host", host), ("origin", origin)) if value is not None}
    try:
        gate.check(headers)
    except Refused as refused:
        return str(refused.code)
    return "in"


GATE = Gate.of(("https://app.example.com", "http://shop.example:8080"), ("Intern.Example",), "Box.local", False)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8765", "127.0.0.1", "localhost:1", "LOCALHOST:8765", "[::1]:8765", "[::1]", "localhost:",
        "app.example.com", "APP.example.com:443", "shop.example:9", "intern.example", "box.local:8765",
    ],
)  # fmt: skip
def test_hosts_that_may(host: str) -> None:
    assert verdict(GATE, host, None) == "in"


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8765", "evil.example:127.0.0.1",
        "evil@localhost", "localhost@evil.example", "localhost:port", "localhost:99999", "localhost:-1", "[::1", "::1",
        "[::2]", "[localhost]", "localhost/x", "localhost?x", "localhost#x", "localhost localhost", " localhost",
        "localhost\t", "local\thost", "localhost,evil.example", "0.0.0.0:8765", "2130706433", "127.1", "localhost.",
        "http://localhost", "\u2100localhost", "\xe9",
    ],
)  # fmt: skip
def test_hosts_that_may_not(host: str | None) -> None:
    assert verdict(GATE, host, None) == "host-refused"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HOST, None),
        # On the list: exactly, whatever the host.
        (HOST, "https://app.example.com"),
        ("localhost", "http://shop.example:8080"),
        # A page of the server itself, also behind a proxy that ends TLS.
        (HOST, "http://127.0.0.1:8765"),
        ("app.example.com", "https://app.example.com"),
        ("app.example.com:443", "https://app.example.com"),
        ("app.example.com:80", "http://app.example.com"),
        ("[::1]:8765", "http://[::1]:8765"),
        ("intern.example", "http://intern.example"),
        ("intern.example", "https://intern.example"),
    ],
)
def test_origins_that_may(host: str, origin: str | None) -> None:
    assert verdict(GATE, host, origin) == "in"


NEVER = [
    "", "null", "http://evil.example", "https://app.example.com.evil.example", "https://evilapp.example.com",
    "https://app.example.com:444", "https://app.example.com/", "https://app.example.com/x", "https://app.example.com#x",
    "https://app.example.com, https://evil.example", "https://user@app.example.com", "https://app.example.com@evil.example",
    "HTTPS://app.example.com", "file://", "file:///x", "chrome-extension://abc", "ws://127.0.0.1:8765", "127.0.0.1:8765",
    "http://", "http://:8765", "http://[::1", "http://]", "http://[::1]evil", "http://127.0.0.1:port", "http://127.0.0.1:99999",
    "http://user@127.0.0.1:8765", "http://user:pass@127.0.0.1:8765", "http://127.0.0.1:8765\t", " http://127.0.0.1:8765",
    "http://127.0.0.1:8765 http://127.0.0.1:8765", "javascript:alert(1)", "http://\u2100", "http://\xe9",
]  # fmt: skip


@pytest.mark.parametrize("origin", [*NEVER, "http://localhost:8765", "http://127.0.0.1:5000"])
def test_origins_that_may_not(origin: str) -> None:
    assert verdict(GATE, HOST, origin) == "origin-refused"


@pytest.mark.parametrize("origin", NEVER)
def test_development_does_not_help_them(origin: str) -> None:
    assert verdict(Gate.of((), (), "127.0.0.1", True), HOST, origin) == "origin-refused"


@pytest.mark.parametrize("origin", ["http://localhost:5000", "http://127.0.0.1", "https://[::1]:1", "http://LocalHost:5173"])
def test_development_trusts_pages_on_loopback(origin: str) -> None:
    assert verdict(Gate.of((), (), "127.0.0.1", True), HOST, origin) == "in"
    assert verdict(Gate.of((), (), "127.0.0.1", False), HOST, origin) == "origin-refused"


@live
async def test_a_refused_page_is_told_why_in_development(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        for path in ("/realtime/ws", "/realtime/ws?token=abc"):
            with Wire(made.port) as wire:
                upgrade = wire.ask(path, Origin="http://evil.example")
            with Wire(made.port) as wire:
                plain = wire.get(path, Origin="http://evil.example")
            assert upgrade.status == plain.status == 403
            assert upgrade.body == plain.body
            assert plain.headers["access-control-allow-origin"] == "*"
            assert plain.headers["content-type"] == "application/json; charset=utf-8"
            message = plain.json()
            assert (message["type"], message["code"]) == ("error", "origin-refused")
            assert "REALTIME_ALLOWED_ORIGINS=http://evil.example" in message["fix"]


@live
async def test_a_refused_page_is_told_no_more_than_that_in_production(scene: Callable[..., Scene]) -> None:
    made = scene(development=False)
    async with made.canary():
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            with Wire(made.port) as wire:
                answer = wire.ask(**headers)
            assert answer.status == 403
            assert set(answer.json()) == {"type", "code", "message"}
            assert b"evil" not in answer.body


# What can be written into a header at all, and stands alone on its line.
SENDABLE = [origin for origin in NEVER if origin == origin.strip() and origin.isascii() and origin]


@live
async def test_no_origin_or_host_breaks_the_server(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        for origin in [*SENDABLE, "http://\xe9.example", "http://localhost:5000\t", "http://evil.example\x01"]:
            with Wire(made.port) as wire:
                answer = wire.ask(Origin=origin)
            assert (answer.status, origin) in (
                (403, origin),
                (101, "http://localhost:5000\t"),
                (400, "http://evil.example\x01"),
            )
        for host in ("evil.example", "evil.example:8765", "[::1", "user@127.0.0.1", "127.0.0.1:port", "[::2]:1", "\xe9"):
            with Wire(made.port) as wire:
                answer = wire.ask(Host=host)
            assert answer.status in (400, 403), host
            if answer.status == 403:
                assert answer.json()["code"] == "host-refused"
        with Wire(made.port) as wire:
            assert wire.ask(Host=None).status == 400


@live
async def test_rebinding_reaches_nothing(scene: Callable[..., Scene]) -> None:
    """A page of http://evil.example:<port>, whose name now means 127.0.0.1, is of the same origin as what it asks."""
    made = scene()
    name = f"evil.example:{made.port}"
    with Wire(made.port) as wire:
        answer = wire.ask(Host=name, Origin=f"http://{name}")
    assert (answer.status, answer.json()["code"]) == (403, "host-refused")


@live
async def test_two_origins_are_none(scene: Callable[..., Scene]) -> None:
    made = scene()
    for lines in ((b"http://evil.example", b"http://localhost"), (b"http://localhost", b"http://evil.example")):
        with Wire(made.port) as wire:
            wire.send(
                b"GET /realtime/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: sqla-realtime.v1\r\nOrigin: %b\r\nOrigin: %b\r\n\r\n" % lines
            )
            assert wire.answer().json()["code"] == "origin-refused"
