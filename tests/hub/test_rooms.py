"""Rooms: who hears what, behind what else each was sent, and that nothing is kept of those that are empty."""

from __future__ import annotations

from sqla_realtime.hub.rooms import AGE, MEMORIES, Rooms, Words
from tests.hub.fakes import Client


def test_everybody_in_a_room_hears_but_who_is_left_out() -> None:
    rooms = Rooms()
    here, author, elsewhere = (Client(reads=False).connection for _ in range(3))
    assert rooms.enter("a", here)
    assert not rooms.enter("a", here)
    rooms.enter("a", author)
    rooms.enter("b", elsewhere)
    rooms.say("a", b"x", author.id)
    rooms.say("c", b"nobody")
    assert (here.drain(), author.drain(), elsewhere.drain()) == (b"x", None, None)
    assert set(rooms) == {"a", "b"}
    assert list(rooms.inside("a")) == [here, author]


def test_who_leaves_while_something_is_said_keeps_it_from_nobody() -> None:
    rooms = Rooms()
    clients = [Client(reads=False).connection for _ in range(3)]
    for each in clients:
        each.hear = lambda each=each: rooms.leave("a", each)  # type: ignore[misc]
        rooms.enter("a", each)
    rooms.say("a", b"x")
    assert [each.drain() for each in clients] == [b"x"] * 3


def test_an_empty_room_is_forgotten() -> None:
    rooms, client = Rooms(), Client(reads=False).connection
    rooms.enter("a", client)
    rooms.leave("a", client)
    rooms.leave("a", client)
    assert list(rooms) == []
    assert not rooms.inside("a")


def test_last_words_are_kept_for_a_while_and_of_so_many_rooms() -> None:
    now = [0.0]
    rooms = Rooms(lambda: now[0])
    rooms.remember("a", b"1")
    rooms.remember("a", b"2")
    assert (rooms.last("a"), rooms.last("b")) == (Words(b"2", AGE), None)
    now[0] = AGE
    assert rooms.last("a") is None
    for number in range(MEMORIES + 1):
        rooms.remember(str(number), b"x")
    assert (rooms.last("0"), rooms.last("1")) == (None, Words(b"x", AGE))
