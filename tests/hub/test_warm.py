"""Warm rows: in a rush what a read now would give, as long as the log is whole; and what the log did not know is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Entry, Position
from sqla_realtime.hub import warm as warm_module
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.warm import RUSH, Warm
from sqla_realtime.protocol.messages import Row
from tests.hub.fakes import at, drop, entry, make_hub, put, row


class Clock:
    def __init__(self) -> None:
        self.now = 7.0

    def __call__(self) -> float:
        return self.now


def log_of(hub: Hub) -> Callable[[Position], list[Entry]]:
    """What the hub remembers; a jump makes it another."""
    return lambda position: hub.history.after(position)


def flight(name: str = "a", *told: Entry) -> Flight:
    """A read of a channel, and what came meanwhile."""
    made = Flight(name, name + "/{x}")
    for each in told:
        made.offer(each)
    return made


class Room:
    """A hub, its clock, and warm rows of channel "a"."""

    def __init__(self, *rows: Row, seconds: float = 5.0) -> None:
        self.hub, self.clock = make_hub(), Clock()
        self.warm = Warm(seconds, log_of(self.hub), self.clock)
        self.read(*rows)

    def read(self, *rows: Row, name: str = "a") -> None:
        self.warm.keep(flight(name), [*rows], self.hub.position, self.clock.now)

    @property
    def kept(self) -> list[str]:
        return list(self.warm._shelves)


def test_rows_are_brought_up_to_date() -> None:
    room = Room(row(1), row(2))
    room.hub.dispatch(entry(1, put("a", 1, 9), drop("a", 2), put("b", 3, 3)))
    assert room.warm.rows("a") == [row(1, 9)]
    room.hub.dispatch(entry(2, put("a", 4, 4)))
    assert room.warm.rows("a") == [row(1, 9), row(4, 4)]
    assert room.warm.rows("b") is None


def test_without_a_rush_everybody_has_a_read_of_his_own() -> None:
    room = Room(row(1))
    for pause, there in ((RUSH, True), (RUSH, True), (RUSH + 0.1, False), (RUSH, True)):
        room.clock.now += pause
        assert (room.warm.rows("a") is not None) is there


def test_what_the_log_can_not_tell_is_read_again() -> None:
    for invalidated in ("a", "a/{x}"):
        room = Room(row(1))
        assert room.warm.rows("a") is not None
        room.hub.dispatch(entry(1, invalidated=[invalidated]))
        assert room.warm.rows("a") is None
        assert (room.kept, room.warm._size) == ([], 0)
        assert not room.warm.refuted(flight(), [row(1, 2)]), "everybody is told to load it anew"


def test_rows_are_kept_for_so_long_after_their_read() -> None:
    room = Room(row(1))
    for _ in range(5):
        room.clock.now += 1.0
        assert room.warm.rows("a") == [row(1)]
    room.clock.now += 0.1
    assert room.warm.rows("a") is None
    room.warm.sweep()
    assert room.kept == ["a"], "what was handed out is still to be compared"
    room.read(row(2))
    room.clock.now += 5.1
    room.warm.sweep()
    assert (room.kept, room.warm._size) == ([], 0)
    cold = Room(row(1), seconds=0.0)
    assert cold.warm.rows("a") is None


def test_so_many_bytes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(row(1).record)
    monkeypatch.setattr(warm_module, "MOST", 2 * size)
    room = Room(row(1))
    for name in ("b", "c"):
        room.read(row(1), name=name)
    assert room.kept == ["a", "b"]
    room.read(row(2))
    assert room.warm.rows("a") == [row(2)], "newer rows take the place of older ones of the same channel"
    assert room.warm._size == 2 * size
    room.warm.forget("a")
    room.warm.forget("b")
    assert (room.kept, room.warm._size) == ([], 0)


# What was handed out.


def test_it_is_to_be_compared_after_the_rush_or_when_it_is_too_old() -> None:
    room = Room(row(1))
    start = room.clock.now
    assert room.warm.due("a") is room.warm.due("b") is None
    room.warm.rows("a")
    assert room.warm.due("a") == start + RUSH
    for _ in range(5):
        room.clock.now += 0.9
        room.warm.rows("a")
    assert room.warm.due("a") == start + 5.0
    room.read(row(1))
    assert room.warm.due("a") is None, "nothing of these"


def test_what_another_program_has_written_refutes_it() -> None:
    for truth in ([row(1, 2), row(2)], [row(1)], [row(1), row(2), row(3)]):
        room = Room(row(1), row(2))
        assert not room.warm.refuted(flight(), truth), "nobody was handed anything"
        room.warm.rows("a")
        assert room.warm.refuted(flight(), truth)
        room.read(*truth)
        assert room.kept == [], "its rows are not shared any more"


def test_what_was_told_does_not_refute_it() -> None:
    """A commit's record may be written otherwise than one that was read."""
    before, after = entry(1, put("a", 1, 5)), entry(2, put("a", 2, 6), drop("a", 3))
    room = Room()
    room.hub.dispatch(before)
    room.warm.keep(flight("a", before), [row(1, 5), row(2), row(3), row(4)], room.hub.position, room.clock.now)
    room.warm.rows("a")
    room.hub.dispatch(after)
    truth = [row(4), row(2, 60), row(1, 50)]
    assert not room.warm.refuted(flight(), truth)
    assert room.warm.refuted(flight(), [row(3), *truth]), "a row that is gone is gone"
    late = Room(row(1))
    late.warm.rows("a")
    late.hub.dispatch(before)
    assert not late.warm.refuted(flight("a", before), [row(1, 50)])


def test_what_can_not_be_compared_is_refuted_and_trusted_again() -> None:
    room = Room(row(1))
    room.warm.rows("a")
    room.hub.jump(at(50))
    assert room.warm.rows("a") is None
    assert room.warm.refuted(flight(), [row(1)])
    room.read(row(1))
    assert room.kept == ["a"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 9)), max_size=20), st.integers(0, 20))
def test_they_are_what_a_read_would_give(changes: list[tuple[bool, int, int]], kept: int) -> None:
    room, table = Room(), dict[str, int]()
    for offset, (there, key, value) in enumerate(changes, 1):
        room.hub.dispatch(entry(offset, put("a", key, value) if there else drop("a", key)))
        if there:
            table[str(key)] = value
        else:
            table.pop(str(key), None)
        if offset == kept:
            room.read(*[row(int(key), value) for key, value in table.items()])
        if offset % 3 == 0:
            room.warm.rows("a")
    rows = room.warm.rows("a")
    assert rows is not None
    assert {each.id: each.record for each in rows} == {key: row(0, value).record for key, value in table.items()}
    assert not room.warm.refuted(flight(), [row(int(key), value) for key, value in reversed(table.items())])
