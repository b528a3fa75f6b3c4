"""What comes before any conversation on plain HTTP: the gate, CORS, sizes, and bodies that make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.peer import Peer
from tests.support.scene import PAGES, Ear, Scene, live
from tests.support.web import ask
from tests.support.wire import Wire

Make = Callable[..., Scene]

HELLO: dict[str, Any] = {"type": "hello"}
ARRAYS = ["/realtime/sse", "/realtime/poll"]
PATHS = [*ARRAYS, "/realtime/send"]


def wrapped(path: str, *messages: Any) -> str:
    """Messages as the body of a path."""
    if path in ARRAYS:
        return json.dumps(list(messages))
    return json.dumps({"connection": "c-" + "x" * 16, "messages": messages})


@pytest.fixture(params=PATHS, ids=lambda path: path.rpartition("/")[2])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def code(body: bytes) -> str:
    message = json.loads(body)
    assert message["type"] == "error"
    assert message["message"]
    return str(message["code"])


# Who may come in.


@live
async def test_a_foreign_page_is_refused(scene: Make, path: str) -> None:
    made = scene()
    async with made.canary():
        for headers, wanted in [
            ({"Origin": "http://evil.example"}, "origin-refused"),
            ({"Origin": "null"}, "origin-refused"),
            ({"Host": "evil.example"}, "host-refused"),
            ({"Referer": "http://evil.example/page"}, "origin-refused"),  # an image's GET names no origin
            ({"Sec_Fetch_Site": "cross-site"}, "origin-refused"),
            ({"Host": "evil.example", "Origin": "http://evil.example"}, "host-refused"),  # rebinding
        ]:
            for method, body in [("GET", None), ("POST", wrapped(path, HELLO)), ("OPTIONS", None)]:
                status, answered, answer = await ask(made.port, path, body, method=method, **headers)
                assert (status, code(answer)) == (403, wanted), (method, headers)
                assert answered["access-control-allow-origin"] == "*"
                assert "access-control-allow-credentials" not in answered, "nothing is for a foreign page's cookies"
        assert len(made.connections) == 1


@live
async def test_an_admitted_origin_is_echoed_whatever_the_answer(scene: Make, path: str) -> None:
    made = scene(allowed_origins="https://app.example", development=False)
    for origin in ("https://app.example", f"http://127.0.0.1:{made.port}"):
        for method, body in [("POST", "nonsense"), ("POST", "x" * 70_000), ("OPTIONS", None)]:
            status, headers, _ = await ask(made.port, path, body, method=method, Origin=origin)
            assert status in (400, 413, 204)
            assert headers["access-control-allow-origin"] == origin
            assert headers["access-control-allow-credentials"] == "true"
            assert headers["vary"] == "Origin"
    status, headers, _ = await ask(made.port, path, method="OPTIONS", Origin="https://app.example")
    assert (status, headers["access-control-allow-headers"]) == (204, "content-type, last-event-id")
    _, headers, _ = await ask(made.port, path, "nonsense")
    assert "access-control-allow-credentials" not in headers, "a client that is no page needs none"


@pytest.mark.parametrize("development", [True, False])
@live
async def test_a_refusal_says_more_in_development_only(scene: Make, path: str, development: bool) -> None:
    _, _, body = await ask(scene(development=development).port, path, "x" * 70_000)
    assert ("fix" in json.loads(body)) == development


@live
async def test_a_token_in_a_url_is_refused_and_not_logged(scene: Make, path: str, ear: Ear) -> None:
    made = scene()
    ear.secrets += ["s3cret-token", "s3cret-cookie"]
    async with made.canary():
        for name in ("token", "Token", "access_token", "%74oken"):
            for body in (None, wrapped(path, HELLO)):
                url = f"{path}?channel={PAGES}&{name}=s3cret-token"
                status, _, answer = await ask(made.port, url, body, Cookie="session=s3cret-cookie")
                assert (status, code(answer)) == (400, "invalid-field")
                assert b"s3cret" not in answer
        for body in (wrapped(path, HELLO | {"token": "s3cret-token"}, 17), '{"token": "s3cret-token', "x" * 70_000):
            status, _, answer = await ask(made.port, path, body, Cookie="session=s3cret-cookie")
            assert status in (400, 413)
            assert b"s3cret" not in answer


@live
async def test_other_methods_are_none(scene: Make, path: str) -> None:
    made = scene()
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await ask(made.port, path, method=method, Content_Length="0"))[0] == 405


# What makes no sense.

BAD = [
    ("", "malformed"), ("{", "malformed"), ("null", "malformed"), ("17", "malformed"), ('"x"', "malformed"),
    ("\ufeff[]", "malformed"),
    ("[" * 60_000, "malformed"), ('{"a":' * 10_000, "malformed"), ('{"messages": NaN}', "malformed"), ("[NaN]", "malformed"),
    ('[{"type": "hello"}', "malformed"), ('[{"type": "hello"}] []', "malformed"), ("9" * 5000, "malformed"),
]  # fmt: skip
MESSAGES = [
    (17, "malformed"), (None, "malformed"), ([], "malformed"), ("hello", "malformed"), ({}, "unknown-message"),
    ({"type": "commit"}, "unknown-message"), ({"type": ["hello"]}, "unknown-message"),
    ({"type": "hello", "token": 5}, "invalid-field"), ({"type": "subscribe", "id": 1, "channels": []}, "invalid-field"),
    ({"type": "subscribe", "id": -1, "channels": ["a"]}, "invalid-field"),
    ({"type": "subscribe", "id": 1, "channels": [f"projects/{number}/pages" for number in range(101)]}, "invalid-field"),
    *[({"type": "hello", "connection": name}, "invalid-field")
      for name in (5, "", "c-", "c-short", "x" * 20, "c-" + "x" * 65, "c-" + "é" * 20, "c-" + "x" * 16 + "\n")],
]  # fmt: skip


@live
async def test_a_body_that_makes_no_sense(scene: Make, path: str) -> None:
    made = scene()
    async with made.canary():
        for text, wanted in BAD:
            status, headers, answer = await ask(made.port, path, text)
            assert (status, code(answer), text[:40]) == (400, wanted, text[:40])
            assert headers["content-type"] == "application/json; charset=utf-8"
        for body in (b"\xff\xfe[]", wrapped(path, HELLO).encode("utf-16")):
            status, _, answer = await ask(made.port, path, body)
            assert (status, code(answer)) == (400, "malformed")
        for message, wanted in MESSAGES:
            for messages in ([HELLO, message], [HELLO, {"type": "ping"}, message, {"type": "ping"}]):
                status, _, answer = await ask(made.port, path, wrapped(path, *messages))
                assert (status, code(answer), message) == (400, wanted, message)
        assert len(made.connections) == 1


@live
async def test_the_first_message_is_hello(scene: Make) -> None:
    made = scene()
    for path in ARRAYS:
        for messages in ([], [{"type": "ping"}], [{"type": "subscribe", "id": 1, "channels": [PAGES]}, HELLO]):
            status, _, answer = await ask(made.port, path, wrapped(path, *messages))
            assert (status, code(answer)) == (400, "hello-required")
    assert not made.connections


# What is too much.


@live
async def test_too_many_messages(scene: Make, path: str) -> None:
    made = scene(max_messages=3)
    async with made.canary():
        status, _, answer = await ask(made.port, path, wrapped(path, HELLO, *[{"type": "ping"}] * 3))
        assert (status, code(answer)) == (400, "too-many-messages")


@live
async def test_a_body_has_so_many_bytes(scene: Make, path: str) -> None:
    made = scene(max_body=1000)
    async with made.canary():
        for body, wanted in [("x" * 1000, 400), ("x" * 1001, 413), ("x" * 16_000, 413)]:
            assert (await ask(made.port, path, body))[0] == wanted
        # Much more than that is not even read.
        for length in (16_001, 10**6, 10**18, 10**30):
            with Wire(made.port) as wire:
                wire.send(b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), length))
                answer = wire.answer()
                assert (answer.status, answer.json()["code"]) == (413, "too-large")
                wire.rest()


@pytest.mark.parametrize(
    ("limit", "wanted"), [(64 * 1024, ("too-large", "too-large")), (10**7, ("invalid-field", "too-many-messages"))]
)
@live
async def test_a_hundred_thousand_channels(scene: Make, limit: int, wanted: tuple[str, str]) -> None:
    """In one message they are too many for it, in the bytes of a raised limit too many for the body's messages."""
    names = [f"projects/{number}/pages" for number in range(100_000)]
    one = {"type": "subscribe", "id": 1, "channels": names}
    many = [{"type": "subscribe", "id": 1, "channels": names[start : start + 100]} for start in range(0, 100_000, 100)]
    made = scene(max_body=limit)
    async with made.canary():
        for path in ARRAYS:
            assert (await _refusal(made, path, HELLO, one), await _refusal(made, path, HELLO, *many)) == wanted
        assert len(made.connections) == 1


async def _refusal(made: Scene, path: str, *messages: Any) -> str:
    return code((await ask(made.port, path, wrapped(path, *messages)))[2])


@live
async def test_a_body_that_never_ends(scene: Make, path: str) -> None:
    made = scene(max_body=1000)
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    async with made.canary():
        with Wire(made.port) as wire:
            wire.send(b"POST %b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode())
            for _ in range(16):
                wire.send(chunk)
            answer = wire.answer()
            assert (answer.status, answer.json()["code"]) == (413, "too-large")
            with pytest.raises(ConnectionError):
                wire.send(chunk * 100_000)


@live
async def test_whoever_dawdles_over_a_body_is_not_waited_for(scene: Make, path: str) -> None:
    made = scene(hello_timeout=0.2)
    async with Peer(made.port) as bird:
        await bird.hello()
        with Wire(made.port) as wire:
            wire.send(b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[" % path.encode())
            assert wire.rest() == b""
        assert len(made.connections) == 1
