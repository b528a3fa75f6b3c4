"""Commits as one: whoever applies it is where the commits would have brought it, whatever they were."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.commit import Change
from sqla_realtime.hub.frame import Frame
from sqla_realtime.hub.merge import merge, net
from sqla_realtime.protocol.messages import Missed
from sqla_realtime.protocol.v1 import V1
from tests.hub.fakes import at, drop, put


def frame(offset: int, *changes: Change, origin: str | None = None) -> Frame:
    codec = V1()
    data = codec.commit(at(offset), [codec.change(change) for change in changes], origin)
    return Frame(data, Missed(at(offset), changes, origin))


def said(queue: Sequence[bytes]) -> list[Any]:
    return [message.get("commit", message.get("type")) for message in map(json.loads, queue)]


def test_a_run_becomes_one_at_its_last_position() -> None:
    [one] = merge([frame(1, put("a", 1, 1)), frame(2, put("a", 1, 2), put("a", 2, 1))], V1())
    message = json.loads(one)
    assert message["commit"] == "e.2"
    assert [(each["id"], each["record"]["v"]) for each in message["changes"]] == [("1", 2), ("2", 1)]
    assert "origin" not in message


def test_what_else_is_said_and_own_commits_keep_their_places() -> None:
    queue = [
        frame(1, put("a", 1)), frame(2, put("a", 1)), b'{"type":"pong"}', frame(3, put("a", 1)),
        frame(4, put("a", 1), origin="me"), frame(5, put("a", 1)), frame(6, drop("a", 1)),
    ]  # fmt: skip
    assert said(merge(queue, V1())) == ["e.2", "pong", "e.3", "e.4", "e.6"]


def test_what_changes_amount_to() -> None:
    create = Change("a", "create", "Row", "1", b"1", (), "enter")
    update = Change("a", "update", "Row", "1", b"2", ("x",))
    again = Change("a", "update", "Row", "1", b"3", ("y", "x"))
    destroy = Change("a", "destroy", "Row", "1", cause="leave")
    assert net([create, update]) == [create._replace(record=b"2")]
    assert net([update, again]) == [again._replace(changed=("x", "y"))]
    assert net([create, destroy]) == [destroy]
    assert net([destroy, create]) == [create]
    assert net([update, put("b", 1), update._replace(cls="Other")]) == [update, put("b", 1), update._replace(cls="Other")]


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.none() | st.integers(0, 9)), max_size=4), max_size=8
    )
)
def test_applied_it_is_the_same(commits: list[list[tuple[str, int, int | None]]]) -> None:
    def apply(queue: Sequence[bytes]) -> dict[tuple[str, str], Any]:
        rows: dict[tuple[str, str], Any] = {}
        for message in map(json.loads, queue):
            for change in message["changes"]:
                key = change["channel"], change["id"]
                rows.pop(key, None)
                if change["type"] != "destroy":
                    rows[key] = change["record"]
        return rows

    queue = [
        frame(number, *(drop(name, key) if value is None else put(name, key, value) for name, key, value in each))
        for number, each in enumerate(commits, 1)
    ]
    merged = merge(queue, V1())
    assert len(merged) <= 1
    assert apply(merged) == apply(queue)
