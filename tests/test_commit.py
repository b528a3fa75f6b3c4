"""Positions are read exactly as they are written; commits know their size, their doubt, and whether they say anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import MAX_OFFSET, Change, Commit, Event, Position, new_epoch

CREATED = Change("a", "create", "Page", "1", b'{"id":1}')
GONE = Change("b", "destroy", "Page", "2")


@given(st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True), st.integers(0, MAX_OFFSET))
def test_a_position_is_read_as_it_was_written(epoch: str, offset: int) -> None:
    assert Position.parse(str(Position(epoch, offset))) == Position(epoch, offset)


@given(st.text(max_size=40))
def test_any_other_text_is_none(text: str) -> None:
    position = Position.parse(text)
    assert position is None or str(position) == text


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a", "a.", ".1", "a.b", "a.01", "a.+1", "a.-1", "a. 1", "a.1 ", " a.1", "a.1\n", "a.1_0", "a.1.5", "a..1",
        "a.\u0661", "a.\u00b2", "é.1", "a-b.1", "a/b.1", "\ud800.1", "a.\ud800", "x" * 33 + ".1", "a.1e3", "a.0x1",
        f"a.{MAX_OFFSET + 1}", "a." + "9" * 17, "a." + "9" * 5000,
    ],
)  # fmt: skip
def test_garbage_is_no_position(text: str) -> None:
    assert Position.parse(text) is None


def test_a_position_ends_at_what_javascript_counts() -> None:
    assert Position.parse(f"a.{MAX_OFFSET}") == ("a", 2**53 - 1)
    assert Position.parse("a.0") == ("a", 0)


def test_epochs_differ_and_can_be_parsed() -> None:
    epochs = {new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(Position.parse(f"{epoch}.7") == (epoch, 7) for epoch in epochs)


def test_an_empty_commit_says_nothing() -> None:
    assert not Commit(())
    assert Commit((CREATED,))
    assert Commit((), frozenset({"a"}))


def test_what_is_said_is_something() -> None:
    said = Event("1", "c", "n", "x" * 1000)
    assert Commit((), events=(said,))
    assert Commit((), events=(said,)).size > 1000
    assert Commit((), events=(said,)).in_doubt().events == (said,)


def test_a_commit_in_doubt_names_its_channels_and_shows_no_row() -> None:
    commit = Commit((CREATED, GONE), frozenset({"p/{q}"}))
    assert commit.in_doubt() == Commit((), frozenset({"a", "b", "p/{q}"}))
    assert commit.in_doubt().in_doubt() == commit.in_doubt()


def test_size_grows_with_what_is_held() -> None:
    longer = Change("a", "create", "Page", "1", CREATED.record and CREATED.record + b" " * 50)
    assert longer.size == CREATED.size + 50
    assert Commit((CREATED, longer)).size > CREATED.size + longer.size
    assert Change("a", "destroy", "Page", "1").size > 0
