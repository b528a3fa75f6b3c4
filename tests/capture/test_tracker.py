"""Which changes survive a tree of savepoints: exact cases, and random transactions against a model that copies all rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqla_realtime.capture.tracker import Kind, Touch, Tracker, compose


def touch(kind: Kind, *touched: str, before: dict[str, Any] | None = None, order: int = 0) -> Touch:
    return Touch(kind, "subject", before or {}, frozenset(touched), order)


def kinds(tracker: Tracker) -> dict[Any, str]:
    return {key: each.kind for key, each in tracker.net().items()}


# Two touches of one row.


@pytest.mark.parametrize(
    ("earlier", "later", "whole"),
    [
        (None, "create", "create"), (None, "update", "update"), (None, "destroy", "destroy"),
        ("create", "update", "create"), ("create", "destroy", None), ("create", "create", "create"),
        ("update", "update", "update"), ("update", "destroy", "destroy"), ("update", "create", "update"),
        ("destroy", "create", "update"), ("destroy", "update", "update"), ("destroy", "destroy", "destroy"),
    ],
)  # fmt: skip
def test_what_two_touches_amount_to(earlier: Kind | None, later: Kind, whole: Kind | None) -> None:
    found = compose(None if earlier is None else touch(earlier), touch(later))
    assert (found and found.kind) == whole


def test_the_first_known_value_is_what_was_there_before() -> None:
    whole = compose(touch("update", "a", before={"a": 1}), touch("update", "a", "b", before={"a": 2, "b": 3}))
    assert whole == touch("update", "a", "b", before={"a": 1, "b": 3})


def test_a_value_found_after_an_unknown_change_is_not_what_was_there_before() -> None:
    whole = compose(touch("update", "a"), touch("update", "a", before={"a": 2}))
    assert whole == touch("update", "a"), "2 was put there by this very transaction"


def test_what_was_read_for_an_untouched_attribute_is_not_replaced_by_what_is_found_later() -> None:
    read = touch("update", "a", before={"a": 1, "b": 2})
    assert compose(read, touch("update", "b", before={"b": 3})) == touch("update", "a", "b", before={"a": 1, "b": 2})


def test_once_anything_may_have_changed_nothing_found_later_counts() -> None:
    unknown = Touch("update", "subject", {"a": 1}, None, 0)
    assert compose(unknown, touch("update", "b", before={"b": 2})) == unknown
    assert compose(touch("update", "b", before={"b": 2}), Touch("update", "subject", {"a": 1}, None, 0)) == Touch(
        "update", "subject", {"a": 1, "b": 2}, None, 0
    )


def test_a_row_that_was_destroyed_and_made_again_may_differ_in_everything() -> None:
    destroyed = Touch("destroy", "subject", {"a": 1})
    assert compose(destroyed, Touch("create", "subject", order=5)) == Touch("update", "subject", {"a": 1}, None, 0)


def test_a_row_stands_where_it_was_first_touched_and_dies_where_it_died() -> None:
    def order(earlier: Kind, later: Kind) -> int | None:
        whole = compose(touch(earlier, order=1), touch(later, order=2))
        return whole and whole.order

    assert order("create", "update") == 1
    assert order("update", "update") == 1
    assert order("destroy", "create") == 1
    assert order("update", "destroy") == 2


def test_the_first_subject_counts() -> None:
    for kind in ("create", "update"):
        whole = compose(Touch(kind, "base"), Touch("update", "sub"))  # type: ignore[arg-type]
        assert whole is not None
        assert whole.subject == "base"


def test_composing_changes_neither_of_the_two() -> None:
    earlier, later = touch("update", "a", before={"a": 1}), touch("update", "b", before={"b": 2})
    copies = deepcopy((earlier, later))
    compose(earlier, later)
    assert (earlier, later) == copies


# Stacks of savepoints.


@pytest.fixture
def tracker() -> Tracker:
    return Tracker()


def test_nothing_touched_is_nothing(tracker: Tracker) -> None:
    assert not tracker
    assert tracker.net() == {}
    tracker.savepoint("a")
    assert not tracker


def test_what_is_released_stays(tracker: Tracker) -> None:
    tracker.savepoint("a")
    tracker.record(1, touch("create"))
    tracker.release("a")
    assert kinds(tracker) == {1: "create"}


def test_what_is_rolled_back_is_forgotten(tracker: Tracker) -> None:
    tracker.record(1, touch("create"))
    tracker.savepoint("a")
    tracker.record(1, touch("destroy"))
    tracker.record(2, touch("create"))
    tracker.rollback("a")
    assert kinds(tracker) == {1: "create"}
    assert tracker


def test_a_row_that_came_before_and_went_inside_leaves_nothing(tracker: Tracker) -> None:
    tracker.record(1, touch("create"))
    tracker.savepoint("a")
    tracker.record(1, touch("destroy"))
    assert kinds(tracker) == {}
    tracker.release("a")
    assert kinds(tracker) == {}


def test_a_savepoint_stays_set_after_a_rollback_to_it(tracker: Tracker) -> None:
    tracker.savepoint("a")
    for _ in range(2):
        tracker.record(1, touch("create"))
        tracker.rollback("a")
        assert kinds(tracker) == {}
    tracker.record(2, touch("create"))
    tracker.release("a")
    assert kinds(tracker) == {2: "create"}


def test_releasing_and_rolling_back_take_the_inner_ones_along(tracker: Tracker) -> None:
    for name, key in (("a", 1), ("b", 2), ("c", 3)):
        tracker.savepoint(name)
        tracker.record(key, touch("create"))
    tracker.release("b")
    assert kinds(tracker) == {1: "create", 2: "create", 3: "create"}
    tracker.rollback("a")
    assert kinds(tracker) == {}


def test_the_innermost_of_two_of_one_name_counts(tracker: Tracker) -> None:
    for key in (1, 2):
        tracker.savepoint("a")
        tracker.record(key, touch("create"))
    tracker.rollback("a")
    assert kinds(tracker) == {1: "create"}
    tracker.release("a")
    tracker.rollback("a")
    assert kinds(tracker) == {}


def test_a_rollback_to_before_the_tracker_forgets_everything(tracker: Tracker) -> None:
    tracker.savepoint("a")
    tracker.record(1, touch("create"))
    tracker.rollback("earlier")
    assert kinds(tracker) == {}
    tracker.record(2, touch("create"))
    tracker.release("a")
    tracker.release("earlier")
    assert kinds(tracker) == {2: "create"}


# Marks: what came since the last one.


def test_a_mark_gives_what_came_since_the_last_one_and_changes_nothing_else(tracker: Tracker) -> None:
    tracker.record(1, touch("create", order=1))
    assert kinds(tracker.mark()) == {1: "create"}
    tracker.record(1, touch("update", "a", before={"a": 1}, order=2))
    tracker.record(2, touch("create", order=3))
    part = tracker.mark()
    assert part.net() == {1: touch("update", "a", before={"a": 1}, order=2), 2: touch("create", order=3)}
    assert not tracker.mark()
    assert tracker
    assert kinds(tracker) == {1: "create", 2: "create"}
    tracker.record(1, touch("destroy"))
    assert kinds(tracker.mark()) == {1: "destroy"}
    assert kinds(tracker) == {2: "create"}


def test_a_part_is_not_changed_by_what_comes_later(tracker: Tracker) -> None:
    tracker.record(1, touch("create"))
    part = tracker.mark()
    tracker.record(1, touch("destroy"))
    tracker.rollback("earlier")
    assert kinds(part) == {1: "create"}


def test_a_mark_within_savepoints_that_are_released_or_rolled_back_later(tracker: Tracker) -> None:
    tracker.savepoint("a")
    tracker.record(1, touch("create"))
    tracker.savepoint("b")
    tracker.record(2, touch("create"))
    assert kinds(tracker.mark()) == {1: "create", 2: "create"}
    tracker.record(1, touch("destroy"))
    tracker.release("b")
    assert kinds(tracker) == {2: "create"}
    assert kinds(tracker.mark()) == {1: "destroy"}
    tracker.record(3, touch("create"))
    tracker.rollback("a")
    assert kinds(tracker) == {}
    assert not tracker.mark()


# Random transactions: the model keeps every row, copies them at savepoints and puts the copies back.


@dataclass
class Model:
    rows: dict[int, dict[str, int]]
    saved: list[tuple[str, dict[int, dict[str, int]]]] = field(default_factory=list)
    ticks: Any = field(default_factory=itertools.count)

    def act(self, action: str, key: int, attribute: str) -> Touch | None:
        """Do it if it can be done; the touch that a flush would record."""
        value, order = next(self.ticks) + 100, next(self.ticks)
        row = self.rows.get(key)
        if action == "create" and row is None:
            self.rows[key] = {"a": value, "b": value + 1}
            return Touch("create", key, order=order)
        if action == "update" and row is not None:
            before = {attribute: row[attribute]}
            row[attribute] = value
            return Touch("update", key, before, frozenset(before), order)
        if action == "blind" and row is not None:  # by a SQL expression: the old value is not known
            row[attribute] = value
            return Touch("update", key, {}, frozenset({attribute}), order)
        if action == "destroy" and row is not None:
            return Touch("destroy", key, self.rows.pop(key), None, order)
        return None


ACTIONS = st.tuples(st.sampled_from(["create", "update", "blind", "destroy"]), st.integers(0, 3), st.sampled_from("ab"))
POINTS = st.tuples(st.sampled_from(["savepoint", "release", "rollback", "mark"]), st.sampled_from("xyz"), st.none())


def replay(tracker: Tracker, steps: list[tuple[str, Any, Any]]) -> tuple[dict[int, dict[str, int]], Model]:
    """Do the steps with both; the rows before the transaction, and the model after it."""
    start = {key: {"a": key, "b": key + 10} for key in (0, 1)}
    model = Model(deepcopy(start))
    for kind, key, attribute in steps:
        if kind == "savepoint":
            model.saved.append((key, deepcopy(model.rows)))
            tracker.savepoint(key)
        elif kind in ("release", "rollback"):
            names = [name for name, _ in model.saved]
            if key not in names:
                continue
            index = len(names) - 1 - names[::-1].index(key)
            if kind == "rollback":
                model.rows = deepcopy(model.saved[index][1])
            del model.saved[index + (kind == "rollback") :]
            getattr(tracker, kind)(key)
        elif kind == "mark":
            tracker.mark()
        elif (done := model.act(kind, key, attribute)) is not None:
            tracker.record(key, done)
    return start, model


def check(tracker: Tracker, steps: list[tuple[str, Any, Any]]) -> None:
    """The tracker's net effect explains every difference, and says nothing false."""
    start, model = replay(tracker, steps)
    net = tracker.net()
    for key in {*start, *model.rows}:
        old, new, told = start.get(key), model.rows.get(key), net.get(key)
        if told is None:
            assert old == new, f"row {key} changed and nothing tells"
            continue
        wanted = {(False, True): "create", (True, True): "update", (True, False): "destroy"}[old is not None, new is not None]
        assert told.kind == wanted
        if told.kind != "create":
            assert old is not None
            assert all(old[name] == value for name, value in told.before.items()), "a value that was never there before"
        if told.kind == "update" and told.touched is not None:
            assert {name for name in "ab" if old and new and old[name] != new[name]} <= told.touched
    assert set(net) <= {*start, *model.rows}, "a row is told that was never there"
    assert bool(tracker) or not net


@settings(max_examples=400)
@given(st.lists(st.one_of(ACTIONS, ACTIONS, POINTS), max_size=30))
def test_random_transactions_are_told_as_a_model_of_copies_sees_them(steps: list[tuple[str, Any, Any]]) -> None:
    check(Tracker(), steps)


# The test of the test: each of these is wrong in a way that somebody could write.


class ForgetsNothing(Tracker):
    """A rollback that releases."""

    def rollback(self, name: str) -> None:
        self.release(name)
        self.savepoint(name)


class ForgetsTheReleased(Tracker):
    """A release that drops what it should merge."""

    def _merge(self, later: Any) -> None:
        pass


class RollsBackOne(Tracker):
    """A rollback that takes the innermost for the named one."""

    def rollback(self, name: str) -> None:
        self._frames.pop()
        self.savepoint(name)


class EndsTheSavepoint(Tracker):
    """A rollback after which the savepoint is gone."""

    def rollback(self, name: str) -> None:
        super().rollback(name)
        self._frames.pop()


class MarksTheTransaction(Tracker):
    """A mark that takes what it gives away out of its savepoint."""

    def mark(self) -> Tracker:
        part = super().mark()
        for frame in self._frames[1:]:
            self._frames[0].marked |= frame.marked
            frame.marked = {}
        return part


class ForgetsTheMarked(Tracker):
    """A release that merges what came since the mark alone."""

    def _merge(self, later: Any) -> None:
        later.marked = {}
        super()._merge(later)


S, R, B, M = "savepoint", "release", "rollback", "mark"


@pytest.mark.parametrize(
    ("faulty", "steps"),
    [
        (ForgetsNothing, [(S, "x", None), ("create", 2, "a"), (B, "x", None)]),
        (ForgetsTheReleased, [(S, "x", None), ("create", 2, "a"), (R, "x", None)]),
        (RollsBackOne, [(S, "x", None), ("create", 2, "a"), (S, "y", None), (B, "x", None)]),
        (EndsTheSavepoint, [("create", 3, "a"), (S, "x", None), (B, "x", None), ("destroy", 3, "a"), (B, "x", None)]),
        (ForgetsTheMarked, [(S, "x", None), ("create", 2, "a"), (M, "", None), (R, "x", None)]),
        (MarksTheTransaction, [(S, "x", None), ("create", 2, "a"), (M, "", None), (B, "x", None)]),
    ],
)
def test_the_model_finds_planted_faults(faulty: Callable[[], Tracker], steps: list[tuple[str, Any, Any]]) -> None:
    check(Tracker(), steps)
    with pytest.raises((AssertionError, IndexError)):
        check(faulty(), steps)
