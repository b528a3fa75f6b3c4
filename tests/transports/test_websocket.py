"""The WebSocket with everything that may come through it: each mistake its coded answer, and no harm to anybody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from sqla_realtime.hub.connection import Connection, several
from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.v1 import V1
from tests.hub.stage import Stage
from tests.support.peer import Peer
from tests.support.scene import PAGES, Ear, Scene, live
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, Wire


def hello(wire: Wire) -> None:
    """Shake hands and be admitted."""
    assert wire.ask().status == 101
    wire.say({"type": "hello"})
    assert wire.hear()["type"] == "hello"


# The upgrade.


@live
async def test_the_subprotocol_is_selected_among_others(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with Peer(made.port, subprotocols=["other", "sqla-realtime.v1", "more"]) as peer:
        assert peer.socket.subprotocol == "sqla-realtime.v1"
        assert (await peer.hello())["type"] == "hello"
    with Wire(made.port) as wire:
        answer = wire.ask(Sec_WebSocket_Protocol="x,sqla-realtime.v1 ,y")
        assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "sqla-realtime.v1")


@live
async def test_without_the_subprotocol_there_is_no_upgrade(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        for offer in (None, "", "sqla-realtime.v2", "SQLA-REALTIME.V1", "\xe9", ",,,"):
            with Wire(made.port) as wire:
                answer = wire.ask(Sec_WebSocket_Protocol=offer)
            assert (answer.status, answer.json()["code"]) == (400, "unsupported-protocol")
        with pytest.raises(InvalidStatus):
            await Peer(made.port, subprotocols=None).__aenter__()


@live
async def test_a_plain_request_is_told_to_upgrade(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
            with Wire(made.port) as wire:
                answer = wire.get("/realtime/ws", method=method)
            assert answer.status == 426
            assert answer.headers["upgrade"] == "websocket"
            if method != "HEAD":
                assert answer.json()["code"] == "upgrade-required"


def test_a_page_of_its_own_origin_is_told_why_it_may_not_come_in(scene: Callable[..., Scene]) -> None:
    """A proxy has changed Host: the WebSocket is refused, and the page's plain GET, which has no Origin, must be too."""
    made = scene(development=False)
    for referer, status in (("https://app.example/x?y=1", 403), (f"http://127.0.0.1:{made.port}/", 426), ("nonsense", 403)):
        with Wire(made.port) as wire:
            assert wire.get("/realtime/ws", Referer=referer).status == status
    with Wire(made.port) as wire:
        assert wire.ask(Referer="https://app.example/").status == 101, "a handshake without Origin comes from no page"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Version": None}, 426),
        ({"Sec_WebSocket_Version": "x"}, 426),
        ({"Connection": "keep-alive"}, 400),
        ({"Connection": "keep-alive, UPGRADE"}, 101),
        ({"Upgrade": "WebSocket"}, 101),
        ({"Upgrade": "h2c"}, 426),
    ],
)
def test_odd_upgrades(scene: Callable[..., Scene], headers: dict[str, Any], status: int) -> None:
    with Wire(scene().port) as wire:
        assert wire.ask(**headers).status == status


@live
async def test_offers_of_extensions_are_declined(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        for offer in (
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; unknown=1",
            'permessage-deflate; server_max_window_bits="',
            "permessage-deflate; =",
            "; ; ;",
            "permessage-deflate*=x''y; a*0=b; a*1=c",
            "\xe9*=utf-8''%ff; x*=nonsense'%",
            ",,,",
        ):
            with Wire(made.port) as wire:
                answer = wire.ask(Sec_WebSocket_Extensions=offer)
                assert answer.status == 101, offer
                assert "sec-websocket-extensions" not in answer.headers
                wire.say({"type": "ping"})
                assert wire.hear() == {"type": "pong"}


# Messages.

BAD: list[tuple[str, str]] = [
    ("", "malformed"),
    ("hello", "malformed"),
    ("{", "malformed"),
    ("[]", "malformed"),
    ("null", "malformed"),
    ("17", "malformed"),
    ('{"type": "ping"} {}', "malformed"),
    ('{"type": "ping", "x": NaN}', "malformed"),
    ("[" * 9000, "malformed"),
    ('{"a":' * 2500, "malformed"),
    ('{"type": "ping", "x": ' + "9" * 5000 + "}", "malformed"),
    ("{}", "unknown-message"),
    ('{"type": null}', "unknown-message"),
    ('{"type": ["ping"]}', "unknown-message"),
    ('{"type": {"ping": 1}}', "unknown-message"),
    ('{"type": "commit"}', "unknown-message"),
    ('{"type": "PING"}', "unknown-message"),
    ('{"type": "\\ud800"}', "unknown-message"),
    ('{"type": "hello", "token": 17}', "invalid-field"),
    ('{"type": "hello", "token": {}}', "invalid-field"),
    ('{"type": "hello", "token": "\\u00e9"}', "invalid-field"),
    ('{"type": "hello", "token": "%s"}' % ("x" * 8193), "invalid-field"),
]
FIELDS: list[dict[str, Any]] = [
    {"id": None}, {"id": "1"}, {"id": 1.0}, {"id": True}, {"id": -1}, {"id": 2**53}, {"id": [1]},
    {"channels": None}, {"channels": []}, {"channels": PAGES}, {"channels": [1]}, {"channels": [None]}, {"channels": [[]]},
    {"channels": {"a": 1}}, {"channels": [""]}, {"channels": ["x" * 256]}, {"channels": [PAGES, PAGES]}, {"channels": ["\xe9"]},
    {"channels": ["\ud800"]}, {"channels": [str(number) for number in range(101)]},
]  # fmt: skip
AFTERS: list[dict[str, Any]] = [{"after": 17}, {"after": ["x.1"]}, {"after": {}}]


@live
async def test_each_mistake_has_its_answer_and_closes_nothing(scene: Callable[..., Scene]) -> None:
    made = scene(max_errors=1000)
    async with made.canary(), Peer(made.port) as peer:
        await peer.hello()
        for text, code in BAD:
            await peer.say(text)
            answer = await peer.hear()
            assert (answer["type"], answer["code"], text) == ("error", code, text)
            made.write()
        for kind, wrong in [("subscribe", FIELDS + AFTERS), ("unsubscribe", FIELDS)]:
            for fields in wrong:
                await peer.say(json.dumps({"type": kind, "id": 1, "channels": [PAGES], **fields}))
                answer = await peer.hear()
                assert (answer["code"], fields) == ("invalid-field", fields)
                assert next(iter(fields)) in answer["message"]
        await peer.say({"type": "hello"})
        assert (await peer.hear())["code"] == "hello-twice"
        # Nothing of all this was understood as a subscription, and the connection is as good as new.
        assert [message for message in peer.log if message.get("type") != "error"] == peer.log[:1]
        assert (await peer.subscribe(PAGES))["type"] == "subscribed"


@live
async def test_before_hello_there_is_only_hello_and_ping(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with Peer(made.port) as peer:
        for kind in ("subscribe", "unsubscribe"):
            await peer.say({"type": kind, "id": 1, "channels": [PAGES]})
            assert (await peer.hear())["code"] == "hello-required"
        await peer.say({"type": "ping"})
        assert await peer.hear() == {"type": "pong"}
        assert (await peer.hello())["type"] == "hello"


@live
async def test_an_unresumable_position_is_answered_with_rows(scene: Callable[..., Scene]) -> None:
    made = scene()
    made.write()
    async with Peer(made.port) as peer:
        await peer.hello()
        for number, after in enumerate(
            ["", ".", "nonsense", "x.1", "x.-1", "x.01", "x." + "9" * 40, "\x00.1", "../etc", "x" * 999, "\xe9.1"]
        ):
            answer = await peer.subscribe(PAGES, after=after, number=number)
            assert [len(item["rows"]) for item in answer["channels"]] == [1]


@live
async def test_the_tenth_mistake_closes(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary(), Peer(made.port) as peer:
        for _ in range(9):
            await peer.say("?")
            assert (await peer.hear())["code"] == "malformed"
        await peer.say("?")
        assert await peer.closed() == (4400, "bad-messages")
        assert peer.log[-1] == {"type": "bye", "code": 4400, "reason": "bad-messages"}


@live
async def test_whoever_asks_faster_than_it_is_answered_is_closed(scene: Callable[..., Scene]) -> None:
    made = scene(message_burst=1000)
    async with made.canary(), Peer(made.port) as peer:
        await peer.hello()
        for number in range(1000):
            await peer.say({"type": "subscribe", "id": number, "channels": [f"projects/{number}/pages"]})
        assert (await peer.closed())[0] == 4400


@live
async def test_a_connection_joins_so_many_channels(scene: Callable[..., Scene]) -> None:
    made = scene(subscriptions=3)
    async with made.canary(), Peer(made.port) as peer:
        await peer.hello()
        await peer.say({"type": "subscribe", "id": 1, "channels": [f"projects/{number}/pages" for number in range(5)]})
        answers = [await peer.hear() for _ in range(5)]
        assert sorted(answer.get("code", "") for answer in answers) == ["", "", "", *["too-many-subscriptions"] * 2]
        # Again is not more, and a place that was left is free.
        assert (await peer.subscribe("projects/0/pages", number=2))["type"] == "subscribed"
        await peer.say({"type": "unsubscribe", "id": 3, "channels": ["projects/0/pages", "projects/9/pages"]})
        assert (await peer.hear())["type"] == "unsubscribed"
        assert (await peer.subscribe("projects/4/pages", number=4))["type"] == "subscribed"


@live
async def test_binary_frames_are_refused(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary(), Peer(made.port) as peer:
        for data in (b"", b"\x00\xff", b'{"type": "hello"}'):
            await peer.say(data)
            assert (await peer.hear())["code"] == "malformed"
        assert (await peer.hello())["type"] == "hello"


@live
async def test_a_message_in_pieces_is_one_message(scene: Callable[..., Scene]) -> None:
    with Wire(scene().port) as wire:
        hello(wire)
        wire.frame(TEXT, b'{"type": ', final=False)
        wire.frame(PING, b"between")
        wire.frame(0, b'"pi', final=False)
        wire.frame(0, b'ng"}')
        assert wire.heard() == (PONG, b"between")
        assert wire.hear() == {"type": "pong"}


@live
async def test_too_much_is_1009(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        async with Peer(made.port) as peer:
            await peer.hello()
            await peer.say('{"type": "ping"}' + " " * (16 * 1024 - 16))
            assert await peer.hear() == {"type": "pong"}
            await peer.say('{"type": "ping"}' + " " * (16 * 1024 - 15))
            assert (await peer.closed())[0] == 1009
        with Wire(made.port) as wire:
            hello(wire)
            for opcode in (TEXT, 0, 0):
                wire.frame(opcode, b" " * 6000, final=False)
            opcode, data = wire.heard()
            assert (opcode, data[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
        with Wire(made.port) as wire:
            hello(wire)
            wire.send(b"\x81\xff" + (2**63 - 1).to_bytes(8, "big"))  # announced, and never sent
            assert wire.heard()[1][:2] == (1009).to_bytes(2, "big")


FRAMES = {
    "not utf-8": b"\x81\x82\0\0\0\0\xc3\x28",
    "half a character": b"\x81\x81\0\0\0\0\xc3",
    "reserved bit": b"\xc1\x80\0\0\0\0",
    "unknown opcode": b"\x83\x80\0\0\0\0",
    "unknown control": b"\x8b\x80\0\0\0\0",
    "nothing to continue": b"\x80\x80\0\0\0\0",
    "fragmented ping": b"\x09\x80\0\0\0\0",
    "long ping": b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126,
    "a message in a message": b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0",
    "close of one byte": b"\x88\x81\0\0\0\0\x03",
    "close with a reason that is no text": b"\x88\x84\0\0\0\0\x03\xe8\xc3\x28",
    "close with a code that is none": b"\x88\x82\0\0\0\0\x00\x00",
    "half a frame": b"\x81\xfe\x10\x00\0\0\0\0{",
    "half a head": b"\x81",
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@live
async def test_frames_that_are_none_end_their_own_connection_only(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        for name, data in FRAMES.items():
            with Wire(made.port) as wire:
                hello(wire)
                wire.send(data)
                if "half a" in name and name != "half a character":
                    continue  # what comes next is that the client is gone
                assert not wire.rest()[2:].startswith(b"HTTP"), name
            made.write()


@live
async def test_a_client_that_vanishes_is_forgotten(scene: Callable[..., Scene]) -> None:
    made = scene()
    async with made.canary():
        for moment in range(3):
            wire = Wire(made.port)
            assert wire.ask().status == 101
            if moment:
                wire.say({"type": "hello"})
            if moment > 1:
                wire.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
            wire.socket.close()
            made.write()


@live
async def test_a_cookie_and_a_query_are_not_logged(scene: Callable[..., Scene], ear: Ear) -> None:
    made = scene()
    ear.secrets += ["s3cret-cookie", "s3cret-query", "s3cret-token"]
    async with made.canary():
        with Wire(made.port) as wire:
            assert wire.ask("/realtime/ws?token=s3cret-query", Cookie="session=s3cret-cookie").status == 101
            wire.say({"type": "hello", "token": "s3cret-token"})
            assert wire.hear()["code"] == "bad-token"
            wire.frame(TEXT, b'{"token": "s3cret-token')
            wire.frame(BINARY, b"s3cret-token")
            wire.frame(TEXT, b"s3cret-token\xff")
            wire.rest()
        for path in ("/realtime/ws", "/realtime/none", "/realtime/realtime.js"):
            with Wire(made.port) as wire:
                wire.get(path + "?token=s3cret-query", Cookie="session=s3cret-cookie", Origin="http://evil.example")


# Readers that do not read.


@live
async def test_a_reader_that_stopped_is_cut_and_the_others_live(scene: Callable[..., Scene]) -> None:
    made = scene(queue_bytes=64 * 1024)
    with Wire(made.port, receive_buffer=4096) as stuck:
        hello(stuck)
        stuck.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
        assert stuck.hear()["type"] == "subscribed"
        async with made.canary() as bird:
            # More than the buffers of both sockets and the queue hold, with the canary keeping up.
            for _ in range(200):
                made.write(50_000)
                await bird.until(lambda message: "commit" in message)
                assert all(each.pending <= 64 * 1024 + 51_000 for each in made.connections)
            assert len(made.connections) == 1
            assert len(stuck.rest()) < 200 * 50_000


@live
async def test_answers_that_nobody_reads_are_bounded_too(scene: Callable[..., Scene]) -> None:
    """Whoever asks and asks and never reads the answers is cut before they pile up."""
    made = scene(queue_bytes=16 * 1024)
    async with made.canary():
        with Wire(made.port, receive_buffer=4096) as stuck:
            hello(stuck)
            channels = [f"{number:0150}" for number in range(100)]
            stuck.say({"type": "unsubscribe", "id": 1, "channels": channels})
            assert stuck.hear()["type"] == "unsubscribed"
            with pytest.raises(ConnectionError):
                ask_for_ever(made, stuck, {"type": "unsubscribe", "id": 1, "channels": channels})


def ask_for_ever(made: Scene, stuck: Wire, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    frame = b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data
    for _ in range(2000):
        stuck.send(frame)
        assert all(each.pending <= 40 * 1024 for each in made.connections)


def test_what_comes_after_the_end_is_not_kept() -> None:
    """The goodbye may wait long behind answers that nobody reads; what is sent meanwhile is not collected."""
    conversation = Conversation(Stage().house, Connection(V1(), 1000), Handshake())
    conversation.connection.close(CloseCode.BAD_MESSAGES)
    conversation.receive('{"type": "ping"}')
    conversation.receive("?")
    assert not conversation._inbox
    assert len(several(conversation.connection.drain())) == 1  # the goodbye
