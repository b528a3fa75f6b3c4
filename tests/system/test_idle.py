"""Nothing when idle: rows that are not published wake no thread, and no record is made of rows that nobody has joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.schema.record import Recorder
from tests.support.models import Account, Project
from tests.support.peer import Peer
from tests.support.scene import PAGES, Scene, eventually, live

Make = Callable[..., Scene]


class Counted:
    """How often something was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.calls = 0
        original = getattr(owner, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)


class Work:
    """What a commit may cost beyond its own: records, places in the log, and wake-ups of the server's thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, made: Scene) -> None:
        runner = made.realtime._runner
        assert runner is not None
        self._records = Counted(monkeypatch, Recorder, "dump")
        self._places = Counted(monkeypatch, MemoryBroker, "begin")
        self._calls = Counted(monkeypatch, runner._loop, "call_soon_threadsafe")

    @contextmanager
    def of(self, *, records: int, places: int, calls: bool) -> Iterator[None]:
        before = self._records.calls, self._places.calls, self._calls.calls
        yield
        assert self._records.calls - before[0] == records
        assert self._places.calls - before[1] == places
        assert (self._calls.calls > before[2]) is calls


@live
async def test_a_commit_that_nobody_can_receive_costs_next_to_nothing(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene(history_age=0.001)
    work = Work(monkeypatch, made)
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        # So that a zero means something.
        with work.of(records=1, places=1, calls=True):
            made.write()
            await peer.hear()
        with work.of(records=0, places=0, calls=False), made.sessions.begin() as session:
            session.add_all(Project(id=100 + number) for number in range(100))
        # Published, and nobody is there: whoever comes just now is told to read again, and there is no work for a row.
        with work.of(records=0, places=1, calls=True), made.sessions.begin() as session:
            session.add_all(Account(id=number, balance=number) for number in range(100))
    await eventually(lambda: not made.realtime._wants("projects/{project_id}/pages"))
    with work.of(records=0, places=1, calls=True):
        made.write()
