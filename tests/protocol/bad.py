"""What no client should send, each with the code of its answer: for the codec, and for the conversation around it."""

from __future__ import annotations

from typing import Any

_NO_JSON = [
    "", "{", "hello", "[]", '"hello"', "null", "1", "[" * 8000, '{"type":' * 2000, '{"type":"ping","x":NaN}',
    '{"type":"ping","x":-Infinity}', '{"type":"ping","x":' + "9" * 100_001 + "}", "{'type':'ping'}",
    '{"type":"ping"} {}', "\ufeff{}", '{"type":"pi\nng"}',
]  # fmt: skip
_NO_TYPES = [None, [], {}, 5, True, "", "Ping", "commit", "subscribed", "bye"]
_NO_TOKENS = [5, False, "é", "x" * 8193, ["x"], {}]
_NO_CONNECTIONS = [
    5, False, "", "c-", "c-" + "x" * 15, "c-" + "x" * 65, "d-" + "x" * 16, "x" * 20,
    "c-" + "é" * 16, "c-" + "x" * 16 + "\n", ["x"], {},
]  # fmt: skip
_NO_IDS = [-1, 2**53, True, 1.0, "1", None, [], {}]
_NO_CHANNELS = [
    [], "a", None, 5, {"a": 1}, [1], [None], [["a"]], [""], ["x" * 256], ["é"], ["a", "a"],
    [str(number) for number in range(101)],
]  # fmt: skip
_NO_POSITIONS = [5, True, ["e.1"], {}]
_NO_NAMES = ["", "é", "x" * 256, None, 5, ["a"], {}]
_GATHERING = ["attend", "depart", "say"]
_SAY = {"type": "say", "id": 1, "channel": "a", "name": "x", "data": {}}
_GOOD = {"type": "subscribe", "id": 1, "channels": ["a"]}

BAD: list[tuple[Any, str]] = [
    *[(text, "malformed") for text in _NO_JSON],
    ({}, "unknown-message"),
    ('{"type":"\\ud800"}', "unknown-message"),
    *[({"type": kind}, "unknown-message") for kind in _NO_TYPES],
    *[({"type": "hello", "token": token}, "invalid-field") for token in _NO_TOKENS],
    *[({"type": "hello", "connection": name}, "invalid-field") for name in _NO_CONNECTIONS],
    ('{"type":"hello","token":"\\udfff"}', "invalid-field"),
    ({"type": "subscribe", "channels": ["a"]}, "invalid-field"),
    ({"type": "subscribe", "id": 1}, "invalid-field"),
    ('{"type":"subscribe","channels":["a"],"id":1e400}', "invalid-field"),
    ('{"type":"subscribe","id":1,"channels":["\\ud800"]}', "invalid-field"),
    *[({**_GOOD, "id": number}, "invalid-field") for number in _NO_IDS],
    *[({**_GOOD, "channels": names}, "invalid-field") for names in _NO_CHANNELS],
    *[({**_GOOD, "type": "unsubscribe", "channels": names}, "invalid-field") for names in _NO_CHANNELS],
    *[({**_GOOD, "after": position}, "invalid-field") for position in _NO_POSITIONS],
    *[({"type": "renew", "id": 1, "token": token}, "invalid-field") for token in [*_NO_TOKENS, None]],
    *[({"type": "renew", "id": number, "token": "x"}, "invalid-field") for number in _NO_IDS],
    ({"type": "renew", "id": 1}, "invalid-field"),
    *[({"type": "ping", "position": position}, "invalid-field") for position in _NO_POSITIONS],
    *[({**_SAY, "type": kind, "id": number}, "invalid-field") for kind in _GATHERING for number in _NO_IDS],
    *[({**_SAY, "type": kind, "channel": name}, "invalid-field") for kind in _GATHERING for name in _NO_NAMES],
    *[({"type": kind, "id": 1}, "invalid-field") for kind in _GATHERING],
    *[({**_SAY, "name": name}, "invalid-field") for name in [*_NO_NAMES, "x" * 65]],
    *[({"type": "attend", "id": 1, "channel": "a", "tag": tag}, "invalid-field") for tag in (5, "é", "x" * 65, ["x"], {})],
    ('{"type":"say","id":1,"channel":"a","name":"x","data":"\\ud800"}', "invalid-field"),
]
