"""Frames: one per codec and set of channels, whatever the number of connections; whoever made the commit has its own."""

from __future__ import annotations

from sqla_realtime.hub.edition import hand_out
from sqla_realtime.hub.frames import Frames, groups
from tests.hub.fakes import Client, CountingCodec, at, entry, put


def test_frames_are_shared_and_changes_spelled_once() -> None:
    codec = CountingCodec()
    clients = [Client(codec) for _ in range(4)]
    for client in clients:
        client.shown = {"a": {}, "b": {}}
    mine = clients[0].connection
    frames = Frames(entry(1, put("a", 1), put("b", 2), origin=mine.id), [mine], hand_out)
    frames.send(frozenset("a"), [each.connection for each in clients[:3]])
    frames.send(frozenset("ab"), [clients[3].connection])
    assert codec.spelled == {"change": 2, "commit": 3}
    assert clients[1].frames[0] is clients[2].frames[0]
    assert [mine.id.encode() in client.frames[0] for client in clients] == [True, False, False, False]
    assert all(client.connection.told == at(1) for client in clients)


def test_connections_are_grouped_by_their_channels() -> None:
    one, two, both = (Client().connection for _ in range(3))
    assert groups({"a": {one: None}}) == {frozenset("a"): [one]}
    found = groups({"a": {one: None, both: None}, "b": {two: None, both: None}})
    assert found == {frozenset("a"): [one], frozenset("b"): [two], frozenset("ab"): [both]}
    assert groups({}) == {}
