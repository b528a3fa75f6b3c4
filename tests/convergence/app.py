"""The application under test, a process of its own that can be killed: `python -m tests.convergence.app URL PORT [FAULT]`.

It takes commands as lines of JSON, carries each out in a thread, and answers it with a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone
from tests.convergence.faults import FAULTS
from tests.convergence.models import Ban, Base, MineOut, Note, Pair, PairOut, PublicOut, RoomOut
from tests.convergence.writes import play

TOKEN_KEY = "the oracle's own key, known to nobody else"  # noqa: S105
HISTORY = 60
# One answer, one line.
SPEAKING = threading.Lock()


def engine_of(url: str) -> Engine:
    """SQLite with honest transactions."""
    engine = create_engine(url, **({"pool_size": 10} if url.startswith("sqlite") else {}))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def connect(connection: Any, record: object) -> None:
            connection.isolation_level = None
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class App:
    """What the commands do."""

    def __init__(self, url: str, port: int) -> None:
        self.engine = engine_of(url)
        self.sessions: sessionmaker[Session] = sessionmaker(self.engine)
        self.realtime = Realtime(
            port=port, secret=TOKEN_KEY, development=True, history_count=HISTORY, ping_interval=1.0, hello_timeout=5.0,
            poll_wait=1.0, statement_rows=12,
        )  # fmt: skip
        self.realtime.publish(Note, schema=RoomOut, channel="rooms/{room}", join=anyone)
        self.realtime.publish(Note, schema=MineOut, channel="mine/{owner}")
        self.realtime.publish(Note, schema=PublicOut, channel="public", where=Note.public.is_(True), join=anyone)
        self.realtime.publish(Pair, schema=PairOut, channel="pairs", join=anyone)
        self.realtime.channel("mine/{owner}")(self._may_see)
        self.realtime.enable(self.sessions)
        # Who writes: an enabled Session, and where the tables are watched also one that nobody listens to.
        self.writers = [self.sessions]
        if os.environ.get("ORACLE_WATCHED"):
            self.realtime.watch(Note, Pair)
            self.writers.append(sessionmaker(self.engine))
        Base.metadata.create_all(self.engine)
        if self.realtime.shares:  # REALTIME_BROKER=database
            self.realtime.migrate()
        with self.sessions.begin() as session:
            for number in (1, 2):
                session.merge(Pair(id=number, stamp=0))
        self.realtime.start()

    def _may_see(self, user: Any, owner: str) -> bool:
        with self.sessions() as session:
            return user is not None and user.id == owner and session.get(Ban, owner) is None

    def write(self, seed: object, count: int, threads: int) -> dict[str, int]:
        return play(self.writers, seed, count, threads)

    def restart(self) -> None:
        self.realtime.stop()
        self.realtime.start()

    def ban(self, owner: str, banned: bool, revoke: bool) -> None:
        with self.sessions.begin() as session:
            if banned:
                session.merge(Ban(owner=owner))
            elif (found := session.get(Ban, owner)) is not None:
                session.delete(found)
        if revoke:
            self.realtime.revoke(user=owner)
        else:
            self.realtime.recheck(channel=f"mine/{owner}")

    def log(self, channel: str, ids: list[str]) -> list[str]:
        """What the log says of some rows of a channel, as far back as it goes."""
        return [
            f"{entry.position}: {change.type} {change.id} {change.cause} {change.record!r} of {len(entry.commit.changes)}"
            for entry in self.realtime._broker.held()  # type: ignore[attr-defined]
            for change in entry.commit.changes
            if change.channel == channel and change.id in ids
        ]

    def head(self) -> str:
        return str(asyncio.run(self.realtime._broker.head()))


def main() -> None:
    """Serve commands until there are no more."""
    url, port, *fault = sys.argv[1:]
    for name in fault:
        FAULTS[name]()
    app = App(url, int(port))
    print(json.dumps([0, "ready"]), flush=True)
    for line in sys.stdin:
        threading.Thread(target=serve, args=(app, *json.loads(line)), daemon=True).start()
    app.realtime.stop()


def serve(app: App, number: int, do: str, command: dict[str, Any]) -> None:
    """Carry one command out; its answer bears its number."""
    answer = getattr(app, do)(**command)
    with SPEAKING:
        print(json.dumps([number, answer]), flush=True)


if __name__ == "__main__":
    main()
