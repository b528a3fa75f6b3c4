"""Taps hear what the log hears, count as readers of everything, and alone hear what was handed over to them."""

from __future__ import annotations

import pytest

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.capture.taps import Taps
from sqla_realtime.commit import Change, Commit

ONE = Commit((Change("pages", "destroy", "Page", "1"),))
TWO = Commit((Change("pages", "destroy", "Page", "2"),))


class Lines:
    """A log and two taps, of which the second takes savepoints for commits."""

    def __init__(self) -> None:
        self.log, self.plain, self.eager = MemoryBroker(), MemoryBroker(), MemoryBroker()
        self.taps = Taps(self.log, lambda pattern: pattern == "wanted")

    def tap(self) -> None:
        self.taps.add(self.plain, savepoints=False)
        self.taps.add(self.eager, savepoints=True)

    def heard(self) -> list[list[Commit]]:
        return [[entry.commit for entry in broker.held()] for broker in (self.log, self.plain, self.eager)]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_a_tap_wants_everything_while_it_is_there(lines: Lines) -> None:
    assert [lines.taps.wants(name) for name in ("wanted", "other")] == [True, False]
    lines.tap()
    assert lines.taps.wants("other")
    lines.taps.remove(lines.plain)
    assert lines.taps.wants("other")
    lines.taps.remove(lines.eager)
    assert not lines.taps.wants("other")


def test_every_line_hears_how_the_commit_ended(lines: Lines) -> None:
    lines.tap()
    lines.taps.begin(ONE).finish(committed=True)
    lines.taps.begin(TWO).finish(committed=False)
    lines.taps.begin(TWO).doubt()
    assert lines.heard() == [[ONE, TWO.in_doubt()]] * 3


def test_a_tap_that_goes_while_a_commit_is_under_way_still_hears_its_end(lines: Lines) -> None:
    lines.tap()
    ticket = lines.taps.begin(ONE)
    lines.taps.remove(lines.plain)
    ticket.finish(committed=True)
    lines.taps.begin(TWO).finish(committed=True)
    assert lines.heard() == [[ONE, TWO], [ONE], [ONE, TWO]]


def test_the_probe_is_for_every_line(lines: Lines) -> None:
    lines.tap()
    outcomes: list[bool | None] = [None]
    lines.taps.begin(ONE, lambda: outcomes[-1])
    assert lines.heard() == [[], [], []]
    outcomes.append(True)
    assert lines.heard() == [[ONE]] * 3


def test_what_is_handed_over_is_for_those_who_asked_for_it(lines: Lines) -> None:
    assert not lines.taps.savepoints
    lines.taps.hand_over(ONE)
    lines.tap()
    assert lines.taps.savepoints
    lines.taps.hand_over(TWO)
    assert lines.heard() == [[], [], [TWO]]
