"""An edition: spelled once per codec, whoever it is given to."""

from __future__ import annotations

from sqla_realtime.hub.edition import Edition, hand_out
from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.messages import Missed
from tests.hub.fakes import Client, CountingCodec, at


def test_all_who_speak_the_same_codec_have_the_same_bytes() -> None:
    spelled: list[str] = []
    edition = Edition(at(7), lambda codec: spelled.append(codec.name) or Frame(b"{}", Missed(at(7), [])))
    codecs = CountingCodec("one"), CountingCodec("two")
    clients = [Client(codec) for codec in (*codecs, *codecs)]
    hand_out(edition, [client.connection for client in clients])
    assert spelled == ["one", "two"]
    assert clients[0].frames[0] is clients[2].frames[0]
    assert {client.connection.told for client in clients} == {at(7)}
