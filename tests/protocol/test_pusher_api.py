"""What may be published over HTTP: exactly what the libraries send, within the limits that they know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sqla_realtime.commit import Event
from sqla_realtime.protocol.pusher_api import BATCH, CHANNELS, Bad, batched, body, published
from sqla_realtime.protocol.pusher_messages import MAX_DATA

GOOD: dict[str, Any] = {"name": "news", "channels": ["a"], "data": "{}"}


def test_an_event_goes_to_each_of_its_channels_once() -> None:
    assert published("1", GOOD | {"channels": ["a", "private-b", "a"], "socket_id": "1.2"}) == [
        Event("1", "a", "news", "{}", None, "1.2"),
        Event("1", "private-b", "news", "{}", None, "1.2"),
    ]
    assert published("1", {"name": "n", "channel": "#server-to-user-7", "data": ""}) == [
        Event("1", "#server-to-user-7", "n", "")
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""}, {"name": 1}, {"name": "x" * 201}, {"name": "pusher:error"}, {"name": "pusher_internal:terminate"},
        {"name": "\ud800"}, {"data": None}, {"data": {}}, {"data": "\ud800"}, {"channels": []}, {"channels": "a"},
        {"channels": [1]}, {"channels": ["a/b"]}, {"channels": ["a"] * (CHANNELS + 1)}, {"channels": None},
        {"channels": ["private-encrypted-a", "b"]}, {"socket_id": "1"}, {"socket_id": 1}, {"socket_id": "1.2\n"},
    ],
)  # fmt: skip
def test_what_is_not_taken(changed: dict[str, Any]) -> None:
    with pytest.raises(Bad) as caught:
        published("1", GOOD | changed)
    assert caught.value.status == 400


def test_data_that_is_too_large() -> None:
    assert published("1", GOOD | {"data": "x" * MAX_DATA})
    with pytest.raises(Bad) as caught:
        published("1", GOOD | {"data": "é" * (MAX_DATA // 2 + 1)})
    assert caught.value.status == 413


def test_a_batch() -> None:
    item = {"name": "n", "channel": "a", "data": "1"}
    assert batched("1", {"batch": [item, item | {"channel": "b"}]}) == [Event("1", "a", "n", "1"), Event("1", "b", "n", "1")]
    for batch in (None, [], [1], [item] * (BATCH + 1), [item | {"name": ""}]):
        with pytest.raises(Bad):
            batched("1", {"batch": batch})


def test_a_body_is_an_object() -> None:
    assert body(json.dumps(GOOD).encode()) == GOOD
    for text in (b"", b"[]", b"x", b"\xff", b"[" * 100_000):
        with pytest.raises(Bad):
            body(text)
