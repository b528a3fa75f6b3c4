"""One line a minute for each reason, and nobody goes uncounted."""

from __future__ import annotations

import re

import pytest

from sqla_realtime.hub.tally import Tally


class Clock:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    found = [re.fullmatch(r".* reset: (\d+)\. .*\[(.*)\]", record.getMessage()) for record in caplog.records]
    caplog.clear()
    return [(int(each[1]), each[2]) for each in found if each is not None]


def test_a_flood_is_a_line_a_minute_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    tally = Tally(clock)
    for _ in range(1000):
        tally.note("too-busy")
    assert told(caplog) == [(1, "too-busy")]
    tally.flush()
    assert told(caplog) == []
    clock.now += 59.9
    tally.note("too-busy")
    assert told(caplog) == []
    clock.now += 0.2
    tally.note("too-busy")
    assert told(caplog) == [(1001, "too-busy")]


def test_reasons_do_not_hide_each_other(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally(Clock())
    for reason in ("a", "b", "a", "b"):
        tally.note(reason)
    assert told(caplog) == [(1, "a"), (1, "b")]


def test_the_end_of_a_flood_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    tally = Tally(clock)
    for _ in range(3):
        tally.note("a")
    clock.now += 60
    tally.flush()
    tally.flush()
    assert told(caplog) == [(1, "a"), (2, "a")]
