"""How a commit is kept: it comes back as it was, and what is no commit is refused as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.brokers.spelling import Rows, Unreadable, read, spell
from sqla_realtime.commit import Change, Commit, Event, Order

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CHANGES = st.builds(
    Change,
    TEXT,
    st.sampled_from(["create", "update", "destroy"]),
    TEXT,
    TEXT,
    st.none() | TEXT.map(str.encode),
    st.lists(TEXT, max_size=3).map(tuple),
    st.sampled_from([None, "enter", "leave"]),
    st.booleans(),
)


ORDERS = st.builds(Order, st.sampled_from(["revoke", "recheck"]), TEXT)
EVENTS = st.builds(Event, TEXT, TEXT, TEXT, TEXT, st.none() | TEXT, st.none() | TEXT)
COMMITS = st.builds(
    Commit,
    st.lists(CHANGES, max_size=4).map(tuple),
    st.frozensets(TEXT, max_size=3),
    st.none() | TEXT,
    st.lists(ORDERS, max_size=2).map(tuple),
    st.lists(EVENTS, max_size=2).map(tuple),
)


@given(COMMITS)
def test_it_comes_back_as_it_was(commit: Commit) -> None:
    assert read(spell(commit).decode()) == commit


def rows(**parts: Any) -> str:
    return json.dumps({"v": 1, "schema": "s", "table": "t", "gone": None, "come": [{"id": 1}], "many": False, **parts})


def test_what_a_trigger_has_written_is_rows_of_a_table() -> None:
    assert read(rows()) == Rows("s", "t", [], [{"id": 1}], many=False, body=rows())
    assert read(rows(gone=[{"id": 1}], come=None, many=True)) == Rows(
        "s", "t", [{"id": 1}], [], many=True, body=rows(gone=[{"id": 1}], come=None, many=True)
    )


@pytest.mark.parametrize("parts", [{"v": 2}, {"schema": None}, {"table": 5}, {"gone": 5}, {"come": ["x"]}])
def test_rows_that_are_none_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read(rows(**parts))


def damaged(**parts: Any) -> str:
    value = {"v": 1, "changes": [["c", "create", "Row", "1", "{}", [], None]], "invalidated": [], "origin": None}
    return json.dumps({**value, **parts})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\\ud800",
        damaged(v=2),
        damaged(origin=5),
        damaged(invalidated=[5]),
        damaged(orders=5),
        damaged(orders=[["shutdown", "all"]]),
        damaged(orders=[["revoke", 7]]),
        damaged(events=[["1", "c", "n"]]),
        damaged(events=[["1", "c", "n", 5, None, None]]),
        damaged(events=[["1", "c", "n", "d", None, 5]]),
        damaged(changes=5),
        damaged(changes=[["c", "drop", "Row", "1", None, [], None]]),
        damaged(changes=[["c", "create", "Row", "1", None, [], "because"]]),
        damaged(changes=[["c", "create", "Row", 1, None, [], None]]),
        damaged(changes=[["c", "create", "Row", "1", {}, [], None]]),
        damaged(changes=[["c", "create", "Row", "1", "{}", []]]),
    ],
)
def test_what_is_no_commit_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read(text)
