"""What clients say, read exactly; whatever else they may send is a BadMessage and nothing worse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.messages import Ping
from sqla_realtime.protocol.pusher_messages import MAX_DATA, Alive, Join, Part, Say, SignIn, compact, read, texts


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"event": "pusher:ping", "data": {}}, Ping()),
        ({"event": "pusher:ping"}, Ping()),
        ({"event": "pusher:pong", "data": {}}, Alive()),
        ({"event": "pusher:subscribe", "data": {"channel": "x", "auth": ""}}, Join("x")),
        ({"event": "pusher:subscribe", "data": '{"channel": "x"}'}, Join("x")),
        ({"event": "pusher:subscribe", "data": {"channel": "x", "auth": None, "channel_data": None}}, Join("x")),
        ({"event": "pusher:subscribe", "data": {"channel": "x", "auth": "k:s", "channel_data": "{}"}}, Join("x", "k:s", "{}")),
        ({"event": "pusher:unsubscribe", "data": {"channel": "x"}}, Part("x")),
        ({"event": "pusher:signin", "data": {"auth": "k:s", "user_data": "{}"}}, SignIn("k:s", "{}")),
        ({"event": "client-a", "channel": "x", "data": {"b": 1}}, Say("x", "client-a", '{"b":1}')),
        ({"event": "client-a", "channel": "x", "data": "text"}, Say("x", "client-a", "text")),
        ({"event": "client-a", "channel": "x"}, Say("x", "client-a", "null")),
    ],
)
def test_messages(said: dict[str, Any], meant: object) -> None:
    assert read(json.dumps(said)) == meant


def test_signatures_stay_out_of_logs() -> None:
    assert "secret" not in repr(Join("x", "secret")) + repr(SignIn("secret", "secret"))


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "1", "null", "{}", '{"event":1}', '{"event":"x"}', '{"event":"pusher:connection_established"}',
        '{"event":"pusher:subscribe"}', '{"event":"pusher:subscribe","data":[]}', '{"event":"pusher:subscribe","data":"[]"}',
        '{"event":"pusher:subscribe","data":"x"}', '{"event":"pusher:subscribe","data":{"channel":1}}',
        '{"event":"pusher:subscribe","data":{"channel":"x","auth":1}}',
        '{"event":"pusher:subscribe","data":{"channel":"x","channel_data":{}}}',
        '{"event":"pusher:signin","data":{"auth":"x"}}', '{"event":"client-a"}', '{"event":"client-a","channel":1,"data":1}',
        '{"event":"client-a","channel":"x","data":NaN}', '{"event":"client-a","channel":"x","data":"\\ud800"}',
        '{"event":"client-\\ud800","channel":"x"}', "[" * 100_000,
        '{"event":"client-a","channel":"x","data":{"a":1e999}}', '{"event":"client-a","channel":"x","data":-1e999}',
        json.dumps({"event": "client-a", "channel": "x", "data": "x" * (MAX_DATA + 1)}),
        json.dumps({"event": "client-" + "a" * 200, "channel": "x"}),
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(BadMessage):
        read(text)


def test_a_body_has_several() -> None:
    assert texts('["a", "b"]') == ["a", "b"]
    for body in ("", "{}", "[1]", '"a"'):
        with pytest.raises(BadMessage):
            texts(body)


def test_compact_json_can_be_sent() -> None:
    assert compact({"a": "é\ud800"}).encode() == b'{"a":"\\u00e9\\ud800"}'
