"""Next to nothing when idle: rows that are not published wake no thread, no record is made of rows that nobody has joined, and
a shared log is looked at a few times a second."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from sqla_realtime import Realtime
from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.schema.record import Recorder
from tests.support.databases import postgres_engine, postgres_url
from tests.support.models import Account, Base, Project
from tests.support.peer import Peer
from tests.support.processes import Process
from tests.support.scene import PAGES, Scene, eventually, live
from tests.transports.pusher.test_socket import APP

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


# PostgreSQL counts what is a second old at the latest. So many transactions are enough for that to make no difference.
WINDOW, RATE = 24, 5.0


@pytest.mark.beside
def test_a_server_that_has_nothing_to_do_asks_the_database_less_than_five_times_a_second() -> None:
    """As PostgreSQL counts them; whatever one asks on a connection that commits by itself is a transaction. And it says
    nothing to other servers, but once that it is there."""
    server = create_engine(postgres_url(), isolation_level="AUTOCOMMIT")
    with postgres_engine() as engine, server.connect() as connection:
        Base.metadata.create_all(engine)
        Realtime().metadata.create_all(engine)
        with Session(engine) as session, session.begin():
            session.add(Project(id=1))
        engine.dispose()
        query = text("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = :name")

        def count() -> int:
            asked: int = connection.execute(query, {"name": engine.url.database}).scalar_one()
            return asked

        url, apps = engine.url.render_as_string(hide_password=False), json.dumps([APP])
        with Process("tests.support.shared_app", url, "serve", REALTIME_PUSHER=apps) as process:
            process.printed("^port ")
            deadline = time.monotonic() + 60
            first, began = count(), time.monotonic()
            # At first it has just been busy.
            while (asked := count() - first) < WINDOW or asked >= RATE * (time.monotonic() - began):
                assert time.monotonic() < deadline, f"{asked} in {time.monotonic() - began:.1f} s"
                if asked >= WINDOW:
                    first, began = count(), time.monotonic()
                time.sleep(0.1)
            with engine.connect() as reader:
                assert reader.execute(text("SELECT count(*) FROM realtime_log")).scalar_one() == 1
    server.dispose()
