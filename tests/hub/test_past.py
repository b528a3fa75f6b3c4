"""The past: what lies between a position and the log's end, once for all who ask for the same at one moment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sqla_realtime.history import Bounds, History
from sqla_realtime.hub import past as past_module
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.past import Past
from sqla_realtime.protocol.v1 import V1
from tests.hub.fakes import at, entry, put

CHANNELS = {"a": "a/{x}", "b": "b/{x}"}


class Log:
    """A history and its past, and what somebody who comes back is answered."""

    def __init__(self) -> None:
        self.history = History(at(0), Bounds())
        self.past = Past(self.history)

    def missed(self, after: int, *, reader: str = "me", budget: int = 10_000, names: str = "ab") -> tuple[list[str], list[Any]]:
        connection = Connection(V1(), budget)
        connection.id = reader
        recovered, commits, self.own = self.past.missed(connection, {name: CHANNELS[name] for name in names}, at(after))
        return [*recovered], [json.loads(each) for each in commits]

    def offsets(self, after: int, names: str = "ab") -> list[str]:
        return [each["commit"] for each in self.missed(after, names=names)[1]]


@pytest.fixture
def log() -> Log:
    log = Log()
    for offset, changes in enumerate(([put("a", 1)], [put("b", 1), put("c", 1)], [put("c", 2)], [put("a", 2), put("b", 2)]), 1):
        log.history.append(entry(offset, *changes, origin="me" if offset == 2 else "other"))
    return log


def test_commits_as_far_as_they_concern_the_channels(log: Log) -> None:
    assert log.offsets(0) == ["e.1", "e.2", "e.4"]
    assert log.offsets(1) == ["e.2", "e.4"]
    assert log.offsets(0, "a") == ["e.1", "e.4"]
    assert log.offsets(4) == []
    recovered, commits = log.missed(0)
    assert recovered == ["a", "b"]
    assert [[change["channel"] for change in each["changes"]] for each in commits] == [["a"], ["b"], ["a", "b"]]


def test_nobody_is_told_of_anybody_elses_connection(log: Log) -> None:
    for reader, told in (("me", "me"), ("nobody", None), ("me", "me")):
        assert [each.get("origin") for each in log.missed(0, reader=reader)[1]] == [None, told, None]


def test_it_is_worked_out_and_spelled_once_until_the_next_commit(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    work = {"after": 0, "commit": 0}
    for owner, name in ((History, "after"), (V1, "commit")):
        original = getattr(owner, name)

        def counted(*arguments: Any, name: str = name, original: Any = original) -> Any:
            work[name] += 1
            return original(*arguments)

        monkeypatch.setattr(owner, name, counted)
    for reader in ("x", "y", "z"):
        log.missed(0, reader=reader)
        assert work == {"after": 1, "commit": 3}
    log.missed(1, reader="x")
    log.missed(0, reader="x", names="a")
    assert work == {"after": 3, "commit": 3 + 2 + 2}
    log.history.append(entry(5, put("a", 3)))
    assert log.offsets(0) == ["e.1", "e.2", "e.4", "e.5"]


def test_so_many_places_are_remembered(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "PLACES", 2)
    for after in (0, 1, 2, 3, 0, 1):
        log.missed(after)
        assert len(log.past._known) <= 2


def test_what_is_not_told_row_by_row_can_not_be_brought(log: Log) -> None:
    log.history.append(entry(5, put("a", 1), invalidated=["b/{x}"]))
    recovered, commits = log.missed(1)
    assert recovered == ["a"]
    assert [each["commit"] for each in commits] == ["e.4", "e.5"]
    assert log.missed(9) == ([], [])
    assert not log.own


def test_who_made_a_commit_elsewhere_is_told_that_it_has_been(log: Log) -> None:
    log.history.append(entry(5, put("z", 1), origin="you"))
    for reader, after, own in (("you", 4, True), ("you", 0, True), ("you", 5, False), ("me", 4, False), ("me", 1, True)):
        log.missed(after, reader=reader)
        assert log.own is own


def test_nor_can_more_than_the_budget(log: Log) -> None:
    size = sum(change.size for each in log.history.after(at(0)) for change in each.commit.changes if change.channel in "ab")
    assert log.missed(0, budget=size)[1]
    assert log.missed(0, budget=size - 1) == ([], [])
