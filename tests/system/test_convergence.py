"""Snapshot and live without a gap: writers commit while clients join at any moment, and all end with the SELECT's rows.

Each transaction moves money between accounts, so the sum is the same before and after it, and a client that ever sees
a commit in part, twice or not at all sees another sum or ends with other rows.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.hub.flight import Flight
from sqla_realtime.protocol.messages import Row
from sqla_realtime.server.archive import DatabaseArchive
from tests.support.models import Account, AccountOut
from tests.support.peer import Peer

ACCOUNTS, WRITERS, COMMITS, CLIENTS = 20, 4, 2000, 50
TOTAL = ACCOUNTS * 100
CHANNEL = "banks/1"
LAST = ("Account", "999")

Rows = dict[tuple[str, str], dict[str, Any]]


class Writers:
    """Threads that move money until so many commits are done."""

    current: Writers

    def __init__(self, engine: Engine, commits: int) -> None:
        Writers.current = self
        self._sessions = sessionmaker(engine)
        self._commits = commits
        self._taken = 0
        self._done = 0
        self._condition = threading.Condition()
        self._moments: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._write, args=(seed,)) for seed in range(WRITERS)]

    def at(self, moment: int, loop: asyncio.AbstractEventLoop, began: asyncio.Future[None]) -> None:
        """Resolve ``began`` when so many commits are done."""
        self._moments.append((moment, loop, began))
        self._moments.sort(key=lambda each: -each[0])

    @property
    def sessions(self) -> sessionmaker[Session]:
        """What the writers write with; to be enabled."""
        return self._sessions

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def advance(self, count: int) -> None:
        """Block until ``count`` more commits are done, or all of them."""
        with self._condition:
            goal = min(self._done + count, self._commits)
            assert self._condition.wait_for(lambda: self._done >= goal, 60)

    def join(self) -> None:
        """Wait for the end; raises what a writer raised."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        try:
            while self._take():
                self._move(chance)
        except BaseException as error:
            self._errors.append(error)

    def _take(self) -> bool:
        with self._condition:
            self._taken += 1
            return self._taken <= self._commits

    def _move(self, chance: random.Random) -> None:
        giver, taker = sorted(chance.sample(range(1, ACCOUNTS + 1), 2))
        amount = chance.randint(-9, 9) or 1
        with self._sessions() as session:
            if session.get_bind().dialect.name == "sqlite":
                # A read that becomes a write fails at once in SQLite where another writer came between, so write first.
                session.connection().exec_driver_sql("UPDATE project SET id = id WHERE id = 0")
            rows = session.scalars(
                select(Account).where(Account.id.in_([giver, taker])).order_by(Account.id).with_for_update()
            ).all()
            rows[0].balance -= amount
            rows[1].balance += amount
            session.commit()
        with self._condition:
            while self._moments and self._moments[-1][0] <= self._done:
                _, loop, began = self._moments.pop()
                loop.call_soon_threadsafe(began.set_result, None)
            self._done += 1
            self._condition.notify_all()


async def follow(port: int, began: asyncio.Future[None]) -> Rows:
    """A client that joins at its moment, checks every message, and stays until it sees the last commit."""
    await began
    seen: set[str] = set()
    async with Peer(port) as peer:
        await peer.hello()
        await peer.subscribe(CHANNEL)
        check(peer, seen, peer.log[-1])
        while LAST not in peer.rows[CHANNEL]:
            check(peer, seen, await peer.hear())
        return peer.rows[CHANNEL]


def check(peer: Peer, seen: set[str], message: dict[str, Any]) -> None:
    """No commit twice, and none in part."""
    if "commit" in message:
        assert message["commit"] not in seen
        seen.add(message["commit"])
    assert sum(record["balance"] for record in peer.rows[CHANNEL].values()) == TOTAL


def run(engine: Engine, realtime: Realtime, commits: int = COMMITS, clients: int = CLIENTS) -> None:
    """The whole scene; raises where a client sees what it must not, or does not end with the rows of the SELECT."""
    with Session(engine) as session, session.begin():
        session.add_all(Account(id=number, balance=100) for number in range(1, ACCOUNTS + 1))
    writers = Writers(engine, commits)
    realtime.publish(Account, schema=AccountOut, channel="banks/{bank}", join=anyone)
    realtime.enable(writers.sessions)
    realtime.start()
    chance = random.Random(1)

    async def scene() -> list[Rows]:
        loop = asyncio.get_running_loop()
        moments = [(chance.randrange(commits), loop.create_future()) for _ in range(clients)]
        tasks = [asyncio.create_task(follow(realtime.port, began)) for _, began in moments]
        for moment, began in moments:
            writers.at(moment, loop, began)
        writers.start()
        await asyncio.to_thread(writers.join)
        with writers.sessions.begin() as session:
            session.add(Account(id=int(LAST[1]), balance=0))
        async with asyncio.timeout(60):
            return await asyncio.gather(*tasks)

    shown = asyncio.run(scene())
    with Session(engine) as session:
        stored = {("Account", str(row.id)): (row.bank, row.balance) for row in session.scalars(select(Account))}
    for rows in shown:
        assert {key: (record["bank"], record["balance"]) for key, record in rows.items()} == stored


def test_every_client_converges_and_sees_whole_commits_once(engine: Engine, realtime: Callable[..., Realtime]) -> None:
    run(engine, realtime())


class Unmerged(Flight):
    """The mutant: the position is taken after the read, and what came between is not laid over the rows."""

    def merge(self, rows: Iterable[Row]) -> list[Row]:
        return list(rows)


def test_a_position_taken_after_the_read_without_merging_is_found(
    sqlite: Engine, realtime: Callable[..., Realtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    stretch_reads(monkeypatch)
    monkeypatch.setattr("sqla_realtime.hub.hub.Flight", Unmerged)
    with pytest.raises(AssertionError):
        run(sqlite, realtime(), commits=200, clients=10)


def test_the_real_thing_survives_the_same_stretched_reads(
    sqlite: Engine, realtime: Callable[..., Realtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    stretch_reads(monkeypatch)
    run(sqlite, realtime(), commits=200, clients=10)


def stretch_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commits come between the end of every snapshot's read and whatever is done with its rows."""
    read = DatabaseArchive.rows

    async def rows(archive: DatabaseArchive, channel: str) -> Sequence[Row]:
        found = await read(archive, channel)
        await asyncio.to_thread(Writers.current.advance, 5)
        return found

    monkeypatch.setattr(DatabaseArchive, "rows", rows)
