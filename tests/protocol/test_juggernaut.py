"""Juggernaut's dialect: each packet to the byte, what Spine can't bear never among them, and no input that breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Change, Position
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.juggernaut import RESERVED, Juggernaut, Label, Spelled, label, packets, payload
from sqla_realtime.protocol.messages import (
    Bye,
    ClientMessage,
    Error,
    Joined,
    Leave,
    NeedsAuth,
    Ping,
    Pong,
    Recovered,
    Reset,
    Row,
    ServerMessage,
    Snapshot,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)

AT = Position("k3f9", 1042)
PLAIN = label("/observer", ["id", "title"], keyed=True, number=True)


def codec(found: Label | None = PLAIN) -> Juggernaut:
    return Juggernaut(lambda channel, cls: found)


def change(kind: Any, key: str = "1", record: str | None = '{"id":1,"title":"First one!"}', **more: Any) -> Change:
    return Change("pages", kind, "Page", key, None if record is None else record.encode(), **more)


def said(text: bytes) -> list[Any]:
    """What the page is given, packet by packet."""
    return [json.loads(line.removeprefix(b"3:::")) for line in text.split(b"\n") if line]


def records(found: Label, change: Change) -> list[Any]:
    return [message["data"]["record"] for message in said(codec(found).change(change))]


CREATE = '3:::{"channel":"/observer","data":{"type":"create","class":"Page","id":"1","record":{"id":1,"title":"First one!"}}}'
UPDATE = CREATE.replace("create", "update")
DESTROY = '3:::{"channel":"/observer","data":{"type":"destroy","class":"Page","id":"1","record":{"id":1}}}'


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (change("create"), CREATE),
        # An update of a record that the page may not have would be an error in it, so it never comes alone.
        (change("update", changed=("title",)), f"{CREATE}\n{UPDATE}"),
        (change("create", cause="enter"), f"{CREATE}\n{UPDATE}"),
        (change("destroy", record=None), DESTROY),
        (change("destroy", record=None, cause="leave"), DESTROY),
    ],
)
def test_a_change(change: Change, text: str) -> None:
    assert codec().change(change).decode() == text


def test_a_class_that_nobody_asked_for_and_a_key_that_spine_cannot_have() -> None:
    assert codec(None).change(change("create")) == b""
    assert codec().change(change("create", "")) == b""


@pytest.mark.parametrize(
    ("found", "change", "record"),
    [
        # The key by another name, beside a field that is called id, in two parts.
        (
            label("/o", ["page_id"], keyed=False, number=True),
            change("create", record='{"page_id":1}'),
            {"id": "1", "page_id": 1},
        ),
        (label("/o", ["id"], keyed=False, number=True), change("create", "a", record='{"id":7}'), {"id": "a"}),
        (label("/o", ["id", "n"], keyed=False, number=True), change("create", "1,2", '{"id":1,"n":2}'), {"id": "1,2", "n": 2}),
        # One type always: a big integer's is text, whatever its size.
        (label("/o", ["id"], keyed=True, number=False), change("create", record='{"id":"1"}'), {"id": "1"}),
        # Spine takes the number 0 for no key at all.
        (PLAIN, change("create", "0", '{"id":0,"title":""}'), {"id": "0", "title": ""}),
        (PLAIN, change("destroy", "0", None), {"id": "0"}),
        (label("/o", ["id"], keyed=False, number=True), change("destroy", "a,b", None), {"id": "a,b"}),
        (
            label("/o", ["id", "url", "url_", "save"], keyed=True, number=True),
            change("create", record='{"id":1,"url":"x","url_":"y","save":true}'),
            {"id": 1, "url__": "x", "url_": "y", "save_": True},
        ),
    ],
)
def test_a_record_has_its_key_as_id_and_nothing_that_calls_a_method(found: Label, change: Change, record: Any) -> None:
    assert records(found, change) == [record]


def test_percent_signs_are_no_format() -> None:
    found = label("/%s", ["id"], keyed=True, number=True)
    [message] = said(codec(found).change(Change("x", "create", "P%d", "%b", b'{"id":"%b"}')))
    assert message == {"channel": "/%s", "data": {"type": "create", "class": "P%d", "id": "%b", "record": {"id": "%b"}}}


def test_a_commit_is_a_line_for_each_and_whoever_made_it_hears_of_the_rest_alone() -> None:
    dialect = codec()
    own, side, nothing = dialect.change(change("create")), dialect.change(change("update", side=True)), Spelled(b"", side=True)
    assert dialect.commit(AT, [own, nothing, side]) == own + b"\n" + side
    assert dialect.commit(AT, [own, nothing, side], "c-1") == side
    assert dialect.commit(AT, [own], "c-1") == b""


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Welcome("c-1", 25), "1::"),
        (Ping(AT), "2::"),
        (Pong(), ""),
        (Snapshot(0, AT, "pages", [Row("Page", "1", b'{"id":1,"title":"First one!"}')]), f"{CREATE}\n{UPDATE}"),
        (Snapshot(0, AT, "pages", []), ""),
        (Recovered(None, AT, ("pages",), [CREATE.encode(), b"", DESTROY.encode()]), f"{CREATE}\n{DESTROY}"),
        (Error("forbidden", "", channel="x", id=0), "7:::2"),
        (Error("too-fast", ""), ""),
        (Joined(0, ("pages",)), ""),
        (Unsubscribed(0, ("pages",)), ""),
        (Reset(("pages",), "behind"), ""),
        (Leave(("pages",), "forbidden"), ""),
        (NeedsAuth("token-expired"), ""),
        (Bye(4500, "restarting", 100), ""),
    ],
)
def test_a_message(message: ServerMessage, text: str) -> None:
    assert codec().encode(message).decode() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('3:::{"type":"subscribe","channel":"/observer"}', Subscribe(0, ("/observer",))),
        ('3:1+::{"channel":"/observer","type":"subscribe"}', Subscribe(0, ("/observer",))),
        ('4:::{"type":"unsubscribe","channel":"/observer"}', Unsubscribe(0, ("/observer",))),
        ('3:::{"type":"meta","data":{"user":1}}', Ping()),
        ('3:::{"type":"event","data":1}', Ping()),
        *((text, Ping()) for text in ("0::", "1::", "2::", "2:::", "5:::{}", "6:::1", "7:::0", "8::")),
    ],
)
def test_what_clients_say(text: str, message: ClientMessage) -> None:
    assert codec().decode(text) == message


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "9::", "3::", "3:::", "3:::x", "3:::[]", "3:::{}", "3:::null", "\ufffd3\ufffd2::", "3:::" + "[" * 100_000),
        *(f'3:::{{"type":"subscribe","channel":{channel}}}' for channel in ('""', "1", "null", '"é"', f'"{"x" * 256}"')),
        '3:::{"type":{},"channel":"x"}',
    ],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        codec().decode(text)


def test_what_juggernaut_has_no_words_for() -> None:
    with pytest.raises(BadMessage):
        codec().command("{}")
    with pytest.raises(BadMessage):
        codec().subscription(1, ["x"], None)


@given(st.text())
def test_no_text_does_anything_else(text: str) -> None:
    for packet in (text, f"3:::{text}", f"\ufffd{text}"):
        try:
            codec().batch(packet)
        except BadMessage:
            continue


@given(st.lists(st.text(min_size=1).filter(lambda text: not text.startswith("\ufffd")), min_size=1))
def test_a_body_is_read_as_it_was_written(texts: list[str]) -> None:
    assert packets(payload([text.encode() for text in texts])) == texts


def test_lengths_are_those_of_javascript() -> None:
    assert payload(["\N{PILE OF POO}".encode(), b"2::"]) == "\ufffd2\ufffd\N{PILE OF POO}\ufffd3\ufffd2::"


@pytest.mark.parametrize(
    "text", ["\ufffd", "\ufffdx\ufffd2::", "\ufffd3\ufffd2::x", "\ufffd99999999999\ufffd2::", "\ufffd\ufffd"]
)
def test_a_body_that_is_none(text: str) -> None:
    with pytest.raises(BadMessage):
        packets(text)


def test_the_names_that_spine_would_call_are_known() -> None:
    assert {"url", "save", "destroy", "bind", "load", "validate", "ajax", "constructor", "__proto__", "toString"} <= RESERVED
    assert not {"id", "title", "name", "url_"} & RESERVED
