"""Warm rows: what a read now would give, as long as the log is whole; then nothing, and nothing is kept for long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Entry, Position
from sqla_realtime.hub import warm as warm_module
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.warm import Warm
from tests.hub.fakes import at, drop, entry, make_hub, put, row


class Clock:
    def __init__(self) -> None:
        self.now = 7.0

    def __call__(self) -> float:
        return self.now


def log_of(hub: Hub) -> Callable[[Position], list[Entry]]:
    """What the hub remembers; a jump makes it another."""
    return lambda position: hub.history.after(position)


def test_rows_are_brought_up_to_date() -> None:
    hub, clock = make_hub(), Clock()
    warm = Warm(5.0, log_of(hub), clock)
    assert warm.rows("a", "a/{x}") is None
    warm.keep("a", [row(1), row(2)], hub.position, clock.now)
    hub.dispatch(entry(1, put("a", 1, 9), drop("a", 2), put("b", 3, 3)))
    hub.dispatch(entry(2, put("a", 4, 4)))
    assert warm.rows("a", "a/{x}") == [row(1, 9), row(4, 4)]
    assert warm.rows("b", "a/{x}") is None


def test_what_the_log_can_not_tell_is_read_again() -> None:
    for spoil in (
        lambda hub: hub.dispatch(entry(1, invalidated=["a"])),
        lambda hub: hub.dispatch(entry(1, invalidated=["a/{x}"])),
        lambda hub: hub.jump(at(50)),
    ):
        hub, clock = make_hub(), Clock()
        warm = Warm(5.0, log_of(hub), clock)
        warm.keep("a", [row(1)], hub.position, clock.now)
        spoil(hub)
        assert warm.rows("a", "a/{x}") is None
        assert (warm._shelves, warm._size) == ({}, 0)


def test_rows_are_kept_for_so_long_after_their_read() -> None:
    hub, clock = make_hub(), Clock()
    warm = Warm(5.0, log_of(hub), clock)
    warm.keep("a", [row(1)], hub.position, clock.now)
    clock.now += 5.0
    assert warm.rows("a", "a") == [row(1)]
    clock.now += 0.1
    warm.sweep()
    assert (warm._shelves, warm._size) == ({}, 0)
    cold = Warm(0.0, log_of(hub), clock)
    cold.keep("a", [row(1)], hub.position, clock.now)
    assert cold.rows("a", "a") is None


def test_so_many_bytes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, clock = make_hub(), Clock()
    warm, size = Warm(5.0, log_of(hub), clock), len(row(1).record)
    monkeypatch.setattr(warm_module, "MOST", 2 * size)
    for name in ("a", "b", "c"):
        warm.keep(name, [row(1)], hub.position, clock.now)
    assert list(warm._shelves) == ["a", "b"]
    warm.keep("a", [row(2)], hub.position, clock.now)
    assert warm.rows("a", "a") == [row(2)], "newer rows take the place of older ones of the same channel"
    assert warm._size == 2 * size


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 9)), max_size=20), st.integers(0, 20))
def test_they_are_what_a_read_would_give(changes: list[tuple[bool, int, int]], kept: int) -> None:
    hub, clock, table = make_hub(), Clock(), dict[str, int]()
    warm = Warm(5.0, log_of(hub), clock)
    warm.keep("a", [], hub.position, clock.now)
    for offset, (there, key, value) in enumerate(changes, 1):
        hub.dispatch(entry(offset, put("a", key, value) if there else drop("a", key)))
        if there:
            table[str(key)] = value
        else:
            table.pop(str(key), None)
        if offset == kept:
            warm.keep("a", [row(int(key), value) for key, value in table.items()], hub.position, clock.now)
    rows = warm.rows("a", "a/{x}")
    assert rows is not None
    assert {each.id: each.record for each in rows} == {key: row(0, value).record for key, value in table.items()}
