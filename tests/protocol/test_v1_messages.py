"""What clients say natively: no input breaks the reader, and its bounds are exact."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Position
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.gathering import Attend, Depart, Say
from sqla_realtime.protocol.messages import ClientMessage, Command, Error, Hello, Ping, Renew, Subscribe, Unsubscribe
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.protocol.v1_messages import MAX_CHANNEL, MAX_CHANNELS, MAX_TOKEN
from tests.protocol.bad import BAD
from tests.protocol.test_v1 import strict

CODEC = V1()
AT = Position("k3f9", 1042)


@pytest.mark.parametrize(("said", "code"), BAD, ids=lambda value: str(value)[:50])
def test_what_no_client_should_send(said: Any, code: str) -> None:
    with pytest.raises(BadMessage) as caught:
        CODEC.decode(said if isinstance(said, str) else json.dumps(said))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type":"hello"}', Hello()),
        ('{"type":"hello","token":null}', Hello()),
        ('{"type":"hello","token":"eyJ"}', Hello("eyJ")),
        ('{"type":"ping","position":"k3f9.1042"}', Ping(AT)),
        ('{"type":"ping","position":null}', Ping()),
        ('{"type":"ping","position":"nonsense"}', Ping(Position("", 0))),
        ('{"type":"renew","id":4,"token":"eyJ"}', Renew(4, "eyJ")),
        ('{"type":"hello","connection":null}', Hello()),
        ('{"type":"hello","connection":"c-0123456789abcdef"}', Hello(None, "c-0123456789abcdef")),
        ('{"type":"hello","connection":"c-%s"}' % ("_-aZ" * 16), Hello(None, "c-" + "_-aZ" * 16)),
        ('{"type":"subscribe","id":0,"channels":["a"]}', Subscribe(0, ("a",))),
        (
            '{"type":"subscribe","id":9007199254740991,"channels":["b","a"],"after":"x.1"}',
            Subscribe(2**53 - 1, ("b", "a"), "x.1"),
        ),
        ('{"type":"unsubscribe","id":1,"channels":["a"],"after":5}', Unsubscribe(1, ("a",))),
        ('{"type":"attend","id":1,"channel":"a"}', Attend(1, "a")),
        ('{"type":"attend","id":1,"channel":"a","tag":"%s"}' % ("f" * 64), Attend(1, "a", "f" * 64)),
        ('{"type":"depart","id":1,"channel":"a","from":"x"}', Depart(1, "a")),
        ('{"type":"say","id":1,"channel":"a","name":"typing","data":{"on": true}}', Say(1, "a", "typing", '{"on":true}')),
        ('{"type":"say","id":1,"channel":"a","name":"x"}', Say(1, "a", "x", "null")),
        ('{"type":"say","id":1,"channel":"a","name":"x","data":"\\u00e9","from":"bob"}', Say(1, "a", "x", '"é"')),
        (' \n{"unknown":[1e999],"type":"ping"}\t', Ping()),
        ('{"type":"\\u0070ing"}', Ping()),
    ],
)
def test_what_clients_send(text: str, message: ClientMessage) -> None:
    assert CODEC.decode(text) == message


@pytest.mark.parametrize("message", [Hello("eyJ"), Renew(1, "eyJ")])
def test_a_token_is_not_shown(message: ClientMessage) -> None:
    assert "eyJ" not in repr(message)


def test_the_bounds_are_exact() -> None:
    def subscribe(**fields: Any) -> ClientMessage:
        return CODEC.decode(json.dumps({"type": "subscribe", "id": 1, "channels": ["a"], **fields}))

    names = [str(number) for number in range(MAX_CHANNELS)]
    assert subscribe(channels=names) == Subscribe(1, tuple(names))
    assert subscribe(channels=["x" * MAX_CHANNEL]) == Subscribe(1, ("x" * MAX_CHANNEL,))
    assert subscribe(after="é" * 5000) == Subscribe(1, ("a",), "é" * 5000), "not resumable, so answered with rows"
    assert CODEC.decode(json.dumps({"type": "hello", "token": "x" * MAX_TOKEN})) == Hello("x" * MAX_TOKEN)
    for beyond in ({"channels": [*names, "x"]}, {"channels": ["x" * (MAX_CHANNEL + 1)]}):
        with pytest.raises(BadMessage):
            subscribe(**beyond)


# Several in one body.


@pytest.mark.parametrize(("said", "code"), BAD, ids=lambda value: str(value)[:50])
def test_a_body_is_as_bad_as_its_worst_message(said: Any, code: str) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    connection = '"c-0123456789abcdef"'
    for items in (f"[{text}]", f'[{{"type":"ping"}},{text}]'):
        for read, body in ((CODEC.batch, items), (CODEC.command, f'{{"connection":{connection},"messages":{items}}}')):
            if not text:
                continue  # no message is none that is bad
            with pytest.raises(BadMessage) as caught:
                read(body)
            assert caught.value.code == code


def test_a_body_of_messages() -> None:
    items = '[{"type":"hello"},{"type":"ping"},{"type":"subscribe","id":1,"channels":["a"]}]'
    messages = [Hello(), Ping(), Subscribe(1, ("a",))]
    assert CODEC.batch(items) == messages
    assert CODEC.batch("[]") == []
    head = '{"connection":"c-0123456789abcdef"'
    assert CODEC.command(f'{head},"messages":{items}}}') == Command("c-0123456789abcdef", messages)
    assert CODEC.command(f'{head},"via":"8765.1","messages":[]}}') == Command("c-0123456789abcdef", [], "8765.1")
    for text in ("{}", "5", "null", '{"messages":[]}', '"[]"', ""):
        with pytest.raises(BadMessage) as caught:
            CODEC.batch(text)
        assert caught.value.code == "malformed"
    for text, code in [
        ("[]", "malformed"), ("{}", "invalid-field"), ('{"messages":[]}', "invalid-field"), ("5", "malformed"),
        ('{"connection":"c-0123456789abcdef"}', "malformed"), ('{"connection":"me","messages":[]}', "invalid-field"),
        ('{"connection":"c-0123456789abcdef","messages":{}}', "malformed"),
    ]:  # fmt: skip
        with pytest.raises(BadMessage) as caught:
            CODEC.command(text)
        assert caught.value.code == code


def test_a_subscription_that_is_spelled_otherwise_has_the_same_bounds() -> None:
    assert CODEC.subscription(7, ["a", "b"], "x.1") == Subscribe(7, ("a", "b"), "x.1")
    for channels in (
        [],
        [""],
        ["a", "a"],
        ["é"],
        ["x" * (MAX_CHANNEL + 1)],
        [str(number) for number in range(MAX_CHANNELS + 1)],
    ):
        with pytest.raises(BadMessage):
            CODEC.subscription(1, channels, None)


def decoded(text: str) -> ClientMessage | BadMessage:
    """The message, or the refusal; anything else that is raised is a bug."""
    try:
        return CODEC.decode(text)
    except BadMessage as bad:
        return bad


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(["hello", "subscribe", "unsubscribe", "ping", "attend", "depart", "say"])


@given(st.text(max_size=50) | JSON.map(json.dumps))
def test_no_text_raises_anything_but_a_bad_message(text: str) -> None:
    assert decoded(text) is not None


@given(
    st.fixed_dictionaries(
        {"type": KINDS}, optional=dict.fromkeys(("id", "channels", "after", "token", "channel", "tag", "name", "data"), JSON)
    )
)
def test_no_fields_raise_anything_but_an_invalid_field_or_malformed(fields: dict[str, Any]) -> None:
    message = decoded(json.dumps(fields))
    if isinstance(message, BadMessage):
        assert message.code in ("invalid-field", "malformed")
        strict(CODEC.encode(Error(message.code, message.message)))
    elif isinstance(message, Subscribe | Unsubscribe):
        assert 0 <= message.id < 2**53
        assert message.channels
        assert all(type(name) is str for name in message.channels)
