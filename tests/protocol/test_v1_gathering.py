"""Members and events in the native dialect, to the byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.protocol.gathering import Departed, MemberJoined, MemberLeft, Members, Person, Spoken, Taken
from sqla_realtime.protocol.messages import ServerMessage
from sqla_realtime.protocol.v1 import V1
from tests.protocol.test_v1 import strict

CODEC = V1()
ANN, BOB = Person("1", '{"name":"Ann"}'), Person('b"ob', "{}")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            Members(1, "rooms/5", "t", [CODEC.person(ANN), CODEC.person(BOB)], "1"),
            '{"type":"members","id":1,"channel":"rooms/5","tag":"t","you":"1",'
            '"members":[{"id":"1","info":{"name":"Ann"}},{"id":"b\\"ob","info":{}}]}',
        ),
        (Members(0, "a", "t", []), '{"type":"members","id":0,"channel":"a","tag":"t","members":[]}'),
        (
            Members(None, "a", "t", [CODEC.person(ANN)]),
            '{"type":"members","channel":"a","tag":"t","members":[{"id":"1","info":{"name":"Ann"}}]}',
        ),
        (Members(2, "a", "t", None), '{"type":"members","id":2,"channel":"a","tag":"t"}'),
        (MemberJoined("a", ANN, "t"), '{"type":"joined","channel":"a","tag":"t","member":{"id":"1","info":{"name":"Ann"}}}'),
        (MemberLeft("a", "1", "t"), '{"type":"left","channel":"a","tag":"t","member":"1"}'),
        (Departed(3, "a"), '{"type":"departed","id":3,"channel":"a"}'),
        (Taken(3), '{"type":"taken","id":3}'),
        (
            Spoken("a", "typing", '{"on":true}', "1"),
            '{"type":"event","channel":"a","name":"typing","from":"1","data":{"on":true}}',
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_each_message_to_the_byte(message: ServerMessage, text: str) -> None:
    assert CODEC.encode(message) == text.encode()
    strict(CODEC.encode(message))


@given(*[st.text(st.characters(codec="utf-8"))] * 3)
def test_whatever_a_member_is_called_it_is_strict_json(channel: str, key: str, name: str) -> None:
    person = Person(key, json.dumps({"name": name}))
    assert strict(CODEC.encode(MemberJoined(channel, person, "t")))["member"] == {"id": key, "info": {"name": name}}
    assert strict(CODEC.encode(Spoken(channel, "x", person.info, key)))["from"] == key
