"""Protocol 7 as it stands on the wire, to the letter."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest

from sqla_realtime.commit import Change, Event, Position
from sqla_realtime.protocol import pusher
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.protocol.messages import Bye, Error, Joined, Leave, Ping, Pong, Recovered, Reset, Welcome
from sqla_realtime.protocol.pusher import Called, Pusher
from sqla_realtime.protocol.pusher_messages import Alive

CODEC = Pusher(lambda channel: channel.startswith("open/"))
AT = Position("e", 1)


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.split(b"\n") if line]


def test_the_handshake() -> None:
    assert CODEC.encode(Welcome("12.34", 25.0)) == (
        b'{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"12.34\\",\\"activity_timeout\\":25}"}'
    )
    # Its library throws where this is missing or 0.
    assert json.loads(lines(CODEC.encode(Welcome("1.2", 0.01)))[0]["data"])["activity_timeout"] == 1


def test_signs_of_life() -> None:
    assert CODEC.encode(Ping(AT)) == b'{"event":"pusher:ping","data":"{}"}'
    assert CODEC.encode(Pong()) == b'{"event":"pusher:pong","data":"{}"}'


RECORD = '{"id":1,"title":"é\\n\\u2028"}'.encode()
CHANGE = Change("open/1", "update", "Page", "1", RECORD, ("title",))


def test_a_change_is_an_event_of_its_type() -> None:
    [told] = lines(CODEC.change(CHANGE))
    assert (told["event"], told["channel"]) == ("update", "open,1")
    assert json.loads(told["data"]) == {"id": "1", "class": "Page", "changed": ["title"], "record": json.loads(RECORD)}
    assert CODEC.change(Change("notes:2", "destroy", "Note", "7", cause="leave")) == (
        b'{"event":"destroy","channel":"private-notes;2",'
        b'"data":"{\\"id\\":\\"7\\",\\"class\\":\\"Note\\",\\"cause\\":\\"leave\\"}"}'
    )


def test_a_commit_is_a_message_per_change_and_none_for_its_author() -> None:
    changes = [CODEC.change(CHANGE), CODEC.change(CHANGE)]
    assert lines(CODEC.commit(AT, changes)) == [lines(change)[0] for change in changes]
    assert CODEC.commit(AT, changes, "1.2") == b""
    along = CODEC.change(CHANGE._replace(side=True))
    assert CODEC.commit(AT, [changes[0], along], "1.2") == along


def test_a_client_hears_of_a_channel_by_every_name_that_it_knows_it_by() -> None:
    names = {"open/1": [Called("presence-open,1"), Called("open,1")]}
    codec = CODEC.naming(names)
    assert [told["channel"] for told in lines(codec.change(CHANGE))] == ["presence-open,1", "open,1"]
    assert [told["channel"] for told in lines(codec.encode(Reset(("open/1", "x"), "r")))] == [
        "presence-open,1", "open,1", "private-x",
    ]  # fmt: skip
    assert codec.name != CODEC.name


def test_by_an_alias_come_the_changes_of_classes_that_have_it() -> None:
    codec = Pusher(lambda channel: True, lambda channel, cls: {"Page": "observer"}.get(cls))
    other = Change("open/1", "update", "Comment", "1", RECORD, ("title",))
    alone = codec.naming({"open/1": [Called("observer", "observer")]})
    both = codec.naming({"open/1": [Called("private-observer", "observer"), Called("open,1")]})
    assert [told["channel"] for told in lines(alone.change(CHANGE))] == ["observer"]
    assert alone.change(other) == b""
    assert [told["channel"] for told in lines(both.change(CHANGE))] == ["private-observer", "open,1"]
    assert [told["channel"] for told in lines(both.change(other))] == ["open,1"]
    assert [told["channel"] for told in lines(codec.change(CHANGE))] == ["open,1"]
    # That rows of some class may have changed concerns all who know the channel.
    assert [told["channel"] for told in lines(alone.encode(Reset(("open/1",), "r")))] == ["observer"]


def test_clients_that_know_a_channel_by_the_same_name_share_a_codec_for_as_long_as_there_are_any() -> None:
    codec = CODEC.naming({"open/1": [Called("presence-open,1")]})
    assert CODEC.naming({"open/1": [Called("presence-open,1")]}) is codec
    assert CODEC.naming({"open/1": [Called("cache-open,1")]}) is not codec
    gone = weakref.ref(codec)
    del codec
    gc.collect()
    assert gone() is None


def test_a_reset_and_the_loss_of_a_channel() -> None:
    assert CODEC.encode(Reset(("open/1",), ErrorCode.INVALIDATED)) == (
        b'{"event":"reset","channel":"open,1","data":"{\\"reason\\":\\"invalidated\\"}"}'
    )
    [told] = lines(CODEC.encode(Leave(("open/1",), "forbidden")))
    assert (told["event"], told["channel"]) == ("pusher:subscription_error", "open,1")


def test_what_the_conversation_tells_itself_is_no_message() -> None:
    assert CODEC.encode(Joined(0, ("open/1",))) == b""
    assert CODEC.encode(Recovered(None, AT, ("open/1",), [b"a", b"", b"b"])) == b"a\nb"


def test_errors_and_goodbyes() -> None:
    assert CODEC.encode(Error("too-fast", "Slowly.")) == b'{"event":"pusher:error","data":{"code":null,"message":"Slowly."}}'
    [told] = lines(CODEC.encode(Error("forbidden", "No.", channel="x")))
    assert json.loads(told["data"]) == {"type": "AuthError", "error": "No.", "status": 403}
    assert CODEC.encode(Bye(4001, "unknown-app")) == (b'{"event":"pusher:error","data":{"code":4001,"message":"unknown-app"}}')
    assert CODEC.encode(Bye(4200, "reconnect")) == b""
    assert CODEC.closes(CloseCode.RESTARTING) == 4101


def test_what_is_said_by_name() -> None:
    said = Event("1", "presence-x", "client-a", '{"b":1}', "7")
    assert pusher.heard(said) == b'{"event":"client-a","channel":"presence-x","data":"{\\"b\\":1}","user_id":"7"}'
    assert b"user_id" not in pusher.heard(said._replace(user=None))
    assert pusher.joined("x") == b'{"event":"pusher_internal:subscription_succeeded","channel":"x","data":"{}"}'
    assert pusher.missed("x") == b'{"event":"pusher:cache_miss","channel":"x"}'


def test_reading() -> None:
    assert CODEC.decode('{"event":"pusher:pong"}') == Alive()
    assert CODEC.batch('["{\\"event\\":\\"pusher:pong\\"}"]') == [Alive()]
    for ask in (lambda: CODEC.command("{}"), lambda: CODEC.subscription(1, ["x"], None), lambda: CODEC.batch("[1]")):
        with pytest.raises(BadMessage):
            ask()


def test_a_roster_is_made_of_what_was_spelled_once_for_each_member() -> None:
    infos: dict[str, Any] = {"7": None, 'a"\\b': {"name": 'Zoë "\\n\n%s', "half": "\ud800"}}
    for members in ({}, infos):
        told = json.loads(pusher.joined('presence-"', [pusher.known(user, info) for user, info in members.items()]))
        assert told.keys() == {"event", "channel", "data"}
        assert (told["event"], told["channel"]) == ("pusher_internal:subscription_succeeded", 'presence-"')
        roster = {"count": len(members), "ids": list(members), "hash": members}
        assert json.loads(told["data"]) == {"presence": roster}
