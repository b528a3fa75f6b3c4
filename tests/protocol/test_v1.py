"""The native dialect: each message to the byte, strict JSON whatever the values are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Change, Position
from sqla_realtime.protocol.messages import (
    Bye,
    Error,
    Hello,
    Leave,
    NeedsAuth,
    Ping,
    Pong,
    Recovered,
    Renewed,
    Reset,
    Row,
    ServerMessage,
    Snapshot,
    Unsubscribed,
    Welcome,
)
from sqla_realtime.protocol.v1 import V1

CODEC = V1()
AT = Position("k3f9", 1042)


def strict(text: bytes) -> Any:
    """What a browser's JSON.parse makes of it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text.decode(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Welcome("c-1", 25), '{"type":"hello","connection":"c-1","ping":25}'),
        (Welcome("c-1", 25, "8765.1"), '{"type":"hello","connection":"c-1","ping":25,"via":"8765.1"}'),
        (Unsubscribed(3, ("a", "b")), '{"type":"unsubscribed","id":3,"channels":["a","b"]}'),
        (Reset(("a",), "invalidated"), '{"type":"reset","channels":["a"],"reason":"invalidated"}'),
        (Renewed(3), '{"type":"renewed","id":3}'),
        (NeedsAuth("token-expired"), '{"type":"needs_auth","reason":"token-expired"}'),
        (Leave(("a", "b"), "forbidden"), '{"type":"leave","channels":["a","b"],"reason":"forbidden"}'),
        (Error("forbidden", "no"), '{"type":"error","code":"forbidden","message":"no"}'),
        (
            Error("forbidden", "no", "do", "a", 0),
            '{"type":"error","code":"forbidden","message":"no","fix":"do","channel":"a","id":0}',
        ),
        (Ping(), '{"type":"ping"}'),
        (Ping(AT), '{"type":"ping","position":"k3f9.1042"}'),
        (Pong(), '{"type":"pong"}'),
        (Bye(4500, "restarting"), '{"type":"bye","code":4500,"reason":"restarting"}'),
        (Bye(4500, "restarting", 0), '{"type":"bye","code":4500,"reason":"restarting","retry_after_ms":0}'),
        (
            Snapshot(1, AT, "a", [Row("Page", "1", b'{"id":1}'), Row("Page", "2", b"{}")]),
            '{"type":"subscribed","id":1,"position":"k3f9.1042","channels":[{"channel":"a","rows":['
            '{"class":"Page","id":"1","record":{"id":1}},{"class":"Page","id":"2","record":{}}]}]}',
        ),
        (
            Snapshot(0, AT, "a", []),
            '{"type":"subscribed","id":0,"position":"k3f9.1042","channels":[{"channel":"a","rows":[]}]}',
        ),
        (
            Recovered(1, AT, ("a", "b"), []),
            '{"type":"subscribed","id":1,"position":"k3f9.1042",'
            '"channels":[{"channel":"a","recovered":true},{"channel":"b","recovered":true}]}',
        ),
        (
            Recovered(1, AT, ("a",), [V1().commit(Position("k3f9", 1041), [V1().change(Change("a", "destroy", "Page", "1"))])]),
            '{"type":"subscribed","id":1,"position":"k3f9.1042","channels":[{"channel":"a","recovered":true}],'
            '"commits":[{"commit":"k3f9.1041","changes":[{"type":"destroy","class":"Page","id":"1","channel":"a"}]}]}',
        ),
        (
            Recovered(None, AT, ("a",), [V1().commit(AT, [], "c-1"), V1().commit(AT, [])]),
            '{"type":"subscribed","position":"k3f9.1042","channels":[{"channel":"a","recovered":true}],'
            '"commits":[{"commit":"k3f9.1042","changes":[],"origin":"c-1"},{"commit":"k3f9.1042","changes":[]}]}',
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_each_message_to_the_byte(message: ServerMessage, text: str) -> None:
    assert CODEC.encode(message) == text.encode()
    strict(CODEC.encode(message))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            Change("a", "create", "Page", "1", b'{"id":1}'),
            '{"type":"create","class":"Page","id":"1","channel":"a","record":{"id":1}}',
        ),
        (
            Change("a", "create", "Page", "1", b"{}", cause="enter"),
            '{"type":"create","class":"Page","id":"1","channel":"a","cause":"enter","record":{}}',
        ),
        (
            Change("a", "update", "Page", "1", b"{}", ("x", "y")),
            '{"type":"update","class":"Page","id":"1","channel":"a","changed":["x","y"],"record":{}}',
        ),
        (Change("a", "destroy", "Page", "1"), '{"type":"destroy","class":"Page","id":"1","channel":"a"}'),
        (
            Change("a", "destroy", "Page", "1", cause="leave"),
            '{"type":"destroy","class":"Page","id":"1","channel":"a","cause":"leave"}',
        ),
    ],
)
def test_each_change_to_the_byte(change: Change, text: str) -> None:
    assert CODEC.change(change) == text.encode()
    commit = CODEC.commit(AT, [CODEC.change(change), CODEC.change(change)])
    assert strict(commit) == {"commit": "k3f9.1042", "changes": [json.loads(text)] * 2}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXT, TEXT, TEXT, TEXT)
def test_whatever_stands_in_a_row_it_is_strict_json(channel: str, cls: str, key: str, value: str) -> None:
    record = json.dumps({"v": value}).encode()
    change = Change(channel, "update", cls, key, record, (value,), "enter")
    told = {"class": cls, "id": key, "record": {"v": value}}
    assert strict(CODEC.change(change)) == {"type": "update", "channel": channel, "changed": [value], "cause": "enter", **told}
    item = {"channel": channel, "rows": [told]}
    assert strict(CODEC.encode(Snapshot(1, AT, channel, [Row(cls, key, record)])))["channels"] == [item]
    assert strict(CODEC.encode(Error(key, value, cls, channel, 1)))["message"] == value


def test_a_record_is_never_parsed_again() -> None:
    assert b"<as it is>" in CODEC.change(Change("a", "create", "Page", "1", b"<as it is>"))


def test_something_else_is_no_message() -> None:
    with pytest.raises(TypeError):
        CODEC.encode(Hello())  # type: ignore[arg-type]


def test_a_commit_is_marked_for_whoever_made_it() -> None:
    assert CODEC.commit(AT, [], "c-1") == b'{"commit":"k3f9.1042","changes":[],"origin":"c-1"}'
    assert b"origin" not in CODEC.commit(AT, [])


def test_a_number_beyond_json_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        CODEC.encode(Welcome("c-1", float("nan")))
