"""Tidying: in portions, after a while again, and not while the database's clock can't say what is old."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from sqla_realtime.brokers.sqlite import SqliteJournal
from sqla_realtime.brokers.tidier import MARGIN, TIDY, Tidier

AGE = 600.0


class Clocked(SqliteJournal):
    """Its clock and what is left are the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 1e9
        self.left = 0
        self.purged: list[float] = []

    def now(self, connection: Connection) -> float:
        return self.clock

    def purge(self, connection: Connection, age: float) -> bool:
        self.purged.append(age)
        self.left -= 1
        return self.left > 0


class Scene:
    """Both clocks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.ours = 0.0
        self.journal = Clocked()
        self.tidier = Tidier(lambda: self.ours)

    def after(self, seconds: float, jump: float = 0.0) -> int:
        """How many portions are deleted when so much time has passed, and the database's clock was set meanwhile."""
        self.ours += seconds
        self.journal.clock += seconds + jump
        before = len(self.journal.purged)
        self.tidier.tidy(self.journal, self._connection, AGE)
        return len(self.journal.purged) - before


@pytest.fixture
def scene(sqlite: Engine) -> Iterator[Scene]:
    with sqlite.connect() as connection:
        yield Scene(connection)


def test_a_portion_at_each_look_until_nothing_is_left_and_then_again_after_a_while(scene: Scene) -> None:
    assert scene.after(TIDY / 2) == 0
    scene.journal.left = 3
    assert [scene.after(TIDY), *(scene.after(0.01) for _ in range(4))] == [1, 1, 1, 0, 0]
    assert scene.after(TIDY) == 1
    assert set(scene.journal.purged) == {AGE + MARGIN}


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_after_a_jump_nothing_is_deleted_before_all_that_was_there_is_old(
    scene: Scene, jump: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert scene.after(TIDY) == 1
    assert scene.after(TIDY, jump) == 0
    assert scene.after(AGE) == 0
    assert scene.after(MARGIN) == 1
    assert caplog.text.count("[clock-jumped]") == 1


def test_neither_after_another_jump_meanwhile(scene: Scene) -> None:
    assert scene.after(TIDY) == 1
    assert scene.after(TIDY, 7200.0) == 0
    assert scene.after(AGE, -7200.0) == 0
    assert scene.after(MARGIN) == 0
    assert scene.after(AGE) == 0
    assert scene.after(MARGIN) == 1


def test_a_clock_that_is_set_right_by_a_moment_has_not_jumped(scene: Scene) -> None:
    for jump in (1.0, -5.0, MARGIN / 2):
        assert scene.after(TIDY, jump) == 1
