"""The watermarks: rows that were read at any moment become the rows at the high mark; and a mutant that must fail this."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Change, Entry
from sqla_realtime.hub.flight import Flight
from sqla_realtime.protocol.messages import Row
from tests.hub.fakes import Client, drop, entry, put, row


def flight(*entries: Entry) -> Flight:
    made = Flight("c", "p/{x}")
    for each in entries:
        made.offer(each)
    return made


def test_without_changes_the_rows_are_as_they_were_read() -> None:
    rows = [row(2), row(1)]
    assert flight().merge(rows) == rows
    assert flight().merge(iter(rows)) == rows


def test_a_change_replaces_its_row_in_its_place() -> None:
    assert flight(entry(1, put("c", 1, 7))).merge([row(1), row(2)]) == [row(1, 7), row(2)]


def test_new_rows_stand_at_the_end_in_the_order_of_the_log() -> None:
    made = flight(entry(1, put("c", 9)), entry(2, put("c", 5)))
    assert made.merge([row(1)]) == [row(1), row(9), row(5)]


def test_a_row_that_went_is_gone_also_where_the_read_did_not_see_it() -> None:
    made = flight(entry(1, put("c", 1)), entry(2, drop("c", 1), drop("c", 2)))
    assert made.merge([row(1), row(2), row(3)]) == [row(3)]
    assert made.merge([]) == []


def test_the_last_change_of_a_row_counts() -> None:
    assert flight(entry(1, drop("c", 1)), entry(2, put("c", 1, 5))).merge([row(1)]) == [row(1, 5)]
    assert flight(entry(1, put("c", 1, 5), put("c", 1, 6))).merge([]) == [row(1, 6)]


def test_other_channels_and_other_classes_are_others() -> None:
    other = Change("c", "destroy", "Other", "1")
    assert flight(entry(1, put("d", 1, 9), other)).merge([row(1)]) == [row(1)]


@pytest.mark.parametrize(("invalidated", "spoiled"), [("c", True), ("p/{x}", True), ("d", False), ("p/{y}", False)])
def test_what_is_not_told_row_by_row_spoils_it(invalidated: str, spoiled: bool) -> None:
    assert flight(entry(1, invalidated=[invalidated])).spoiled is spoiled


def test_a_restart_forgets_what_the_next_read_will_see() -> None:
    made = flight(entry(1, put("c", 1, 5), invalidated=["c"]))
    made.restart()
    assert not made.spoiled
    assert made.merge([row(1, 9)]) == [row(1, 9)]
    made.offer(entry(2, put("c", 2)))
    assert made.merge([]) == [row(2)]


def test_waiters_know_their_request() -> None:
    made, client = flight(), Client()
    made.waiters[client.connection] = 5
    assert made.waiters == {client.connection: 5}


# The watermark property. Every commit is (key, value), where None deletes; the read sees the first ``seen`` of them,
# of which the hub had dispatched ``low`` when the flight began; ``high`` is at or after what was seen.

Commits = list[tuple[int, int | None]]


class Unmerged(Flight):
    """The mutant: it takes the position after the read, and forgets what came in between."""

    def merge(self, rows: object) -> list[Row]:
        return list(rows)  # type: ignore[call-overload,no-any-return]


def database(commits: Commits) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for key, value in commits:
        if value is None:
            rows.pop(str(key), None)
        else:
            rows[str(key)] = row(key, value)
    return rows


def lands(kind: type[Flight], commits: Commits, low: int, seen: int, high: int) -> bool:
    """Whether the flight's rows are the database at the high mark."""
    made = kind("c", "p/{x}")
    for offset, (key, value) in enumerate(commits[low:high], low + 1):
        made.offer(entry(offset, drop("c", key) if value is None else put("c", key, value)))
    merged = made.merge(database(commits[:seen]).values())
    assert len({each.id for each in merged}) == len(merged), "a row stands there twice"
    return {each.id: each for each in merged} == database(commits[:high])


@st.composite
def flights(draw: st.DrawFn) -> tuple[Commits, int, int, int]:
    commits = draw(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 9)), max_size=12))
    marks = draw(st.lists(st.integers(0, len(commits)), min_size=3, max_size=3))
    low, seen, high = sorted(marks)
    return commits, low, seen, high


@given(flights())
def test_whatever_the_read_saw_between_the_marks_the_rows_are_those_at_the_high_mark(
    case: tuple[Commits, int, int, int],
) -> None:
    assert lands(Flight, *case)


@pytest.mark.parametrize(
    ("commits", "low", "seen", "high"),
    [([(1, 5)], 0, 0, 1), ([(1, 5), (1, None)], 0, 1, 2), ([(1, 5), (1, 6), (1, 7)], 0, 2, 3)],
)
def test_the_mutant_fails_it(commits: Commits, low: int, seen: int, high: int) -> None:
    assert lands(Flight, commits, low, seen, high)
    assert not lands(Unmerged, commits, low, seen, high)
