"""The recent past: everything after a position in order, or PositionGone; bounded by count, bytes and age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Change, Commit, Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.history import Bounds, History


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def entry(offset: int, size: int = 0) -> Entry:
    return Entry(Position("e", offset), Commit((Change("c", "create", "Row", str(offset), b"x" * size),)))


def history(*, start: int = 0, count: int = 100, size: int = 10**9, age: float = 60.0) -> tuple[History, Clock]:
    clock = Clock()
    return History(Position("e", start), Bounds(count, size, age), clock), clock


def filled(offsets: range, **bounds: int) -> History:
    made, _ = history(start=offsets.start - 1, **bounds)
    for offset in offsets:
        made.append(entry(offset))
    return made


def offsets(made: History, after: int) -> list[int]:
    return [each.position.offset for each in made.after(Position("e", after))]


def is_gone(made: History, position: Position) -> bool:
    try:
        made.after(position)
    except PositionGone as gone:
        return gone.facts == {"position": position}
    return False


def test_it_answers_with_everything_after_a_position_in_order() -> None:
    made = filled(range(1, 6))
    assert offsets(made, 0) == [1, 2, 3, 4, 5]
    assert offsets(made, 3) == [4, 5]
    assert made.after(Position("e", 4)) == [entry(5)]


def test_at_the_head_nothing_is_missing() -> None:
    assert offsets(filled(range(1, 6)), 5) == []
    empty, _ = history(start=7)
    assert empty.head == ("e", 7)
    assert offsets(empty, 7) == []


@pytest.mark.parametrize(
    "position", [Position("e", 6), Position("f", 3), Position("f", 5), Position("E", 3), Position("e", -1)]
)
def test_the_future_and_other_epochs_are_gone(position: Position) -> None:
    assert is_gone(filled(range(1, 6)), position)


def test_what_was_before_the_beginning_is_gone() -> None:
    made = filled(range(8, 11))
    assert offsets(made, 7) == [8, 9, 10]
    assert is_gone(made, Position("e", 6))


def test_the_count_is_bounded_exactly() -> None:
    made = filled(range(1, 11), count=3)
    assert len(made) == 3
    assert offsets(made, 7) == [8, 9, 10]
    assert is_gone(made, Position("e", 6))


def test_bytes_are_bounded_exactly() -> None:
    each = entry(10, 1000).commit.size
    made, _ = history(start=10, size=3 * each)
    for offset in range(11, 21):
        made.append(entry(offset, 1000))
    assert offsets(made, 17) == [18, 19, 20]
    assert is_gone(made, Position("e", 16))
    # One entry that is larger than all bounds leaves nothing to resume from but the head.
    made.append(entry(21, 10_000))
    assert len(made) == 0
    assert made.head == ("e", 21)
    assert offsets(made, 21) == []
    assert is_gone(made, Position("e", 20))
    made.append(entry(22, 10))
    assert offsets(made, 21) == [22]


def test_age_is_bounded_exactly() -> None:
    made, clock = history(age=60.0)
    made.append(entry(1))
    clock.now += 60.0
    made.append(entry(2))
    assert offsets(made, 0) == [1, 2]
    clock.now += 0.5
    made.append(entry(3))
    assert offsets(made, 1) == [2, 3]
    assert is_gone(made, Position("e", 0))


def test_age_passes_without_appends() -> None:
    made, clock = history(age=60.0)
    made.append(entry(1))
    clock.now += 61.0
    made.trim()
    assert len(made) == 0
    assert is_gone(made, Position("e", 0))
    assert offsets(made, 1) == []


def test_narrower_bounds_hold_from_the_next_append() -> None:
    made = filled(range(1, 11))
    made.bounds = Bounds(count=2)
    made.append(entry(11))
    assert offsets(made, 9) == [10, 11]
    assert is_gone(made, Position("e", 8))


@given(st.lists(st.integers(0, 500), max_size=40), st.integers(1, 10), st.integers(200, 4000), st.integers(-2, 45))
def test_it_is_complete_or_gone_and_never_a_part(sizes: list[int], count: int, size: int, after: int) -> None:
    made, _ = history(count=count, size=size)
    for offset, each in enumerate(sizes, 1):
        made.append(entry(offset, each))
    assert len(made) <= count
    try:
        found = offsets(made, after)
    except PositionGone:
        assert not len(sizes) - len(made) <= after <= len(sizes)
    else:
        assert found == list(range(after + 1, len(sizes) + 1))
