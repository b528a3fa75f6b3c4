"""Many writers of a few rows at once, and three readers whose connections are killed meanwhile: they see the rows' order."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing

from sqlalchemy import Connection, text

from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Change, Commit, Entry, Position
from tests.brokers.stage import DatabaseLog

KILLS = 30
# Kills a reader's connection, where there is one; how many that were.
Kill = Callable[[Connection, random.Random], int]


class Writers:
    """Threads that change a few rows in transactions of their own. Some begin with ``early``, which gives a transaction its
    number or its snapshot, some hold on for as long as ``linger`` takes, some roll back."""

    def __init__(self, log: DatabaseLog, early: str, linger: str) -> None:
        with log.engine.begin() as connection:
            connection.execute(text("CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL)"))
            connection.execute(text("INSERT INTO item VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)"))
        self._log = log
        self._early, self._linger = text(early), text(linger)
        self.committed = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(random.Random(number),)) for number in range(6)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for thread in self._threads:
            thread.join()

    def _write(self, chance: random.Random) -> None:
        for _ in range(60):
            with self._log.engine.connect() as connection, connection.begin() as transaction:
                if chance.random() < 0.3:
                    connection.execute(self._early)
                rows = sorted(chance.sample(range(1, 6), chance.choice([1, 1, 2])))
                changes = [self._change(connection, row) for row in rows]
                self._log.broker.stage(Commit(tuple(changes)), connection)
                if chance.random() < 0.1:
                    transaction.rollback()
                    continue
                if chance.random() < 0.3:
                    connection.execute(self._linger)
            with self._lock:
                self.committed += 1

    @staticmethod
    def _change(connection: Connection, row: int) -> Change:
        connection.execute(text("UPDATE item SET v = v + 1 WHERE id = :row"), {"row": row})
        v: int = connection.execute(text("SELECT v FROM item WHERE id = :row"), {"row": row}).scalar_one()
        return Change("items", "update", "Item", str(row), b'{"v":%d}' % v, ("v",))


async def follow_until(broker: Broker, start: Position, ready: asyncio.Event) -> list[Entry]:
    """Everything up to the head when it is ready."""
    found: list[Entry] = []
    async with aclosing(broker.follow(start)) as entries:
        reading = asyncio.ensure_future(anext(entries))
        while not (ready.is_set() and found and found[-1].position == await broker.head()):
            done, _ = await asyncio.wait([reading], timeout=0.05)
            if done:
                found.append(reading.result())
                reading = asyncio.ensure_future(anext(entries))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return found


def follow_while_killed(log: DatabaseLog, kill: Kill, early: str, linger: str) -> None:
    """Raises where something is lost, comes twice, or in another order than that of the rows."""

    async def kill_all(chance: random.Random) -> None:
        killed = 0
        while killed < KILLS:
            await asyncio.sleep(0.02)
            with log.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                killed += kill(connection, chance)

    async def scene() -> None:
        brokers = [log.broker, log.other(), log.other()]
        start = await log.broker.head()
        ready = asyncio.Event()
        following = [asyncio.create_task(follow_until(broker, start, ready)) for broker in brokers]
        with Writers(log, early, linger) as writers:
            await kill_all(random.Random(1))
            await asyncio.to_thread(writers.__exit__)
        ready.set()
        async with asyncio.timeout(60):
            first, *others = await asyncio.gather(*following)
        assert all(other == first for other in others)
        assert len(first) == writers.committed
        assert [entry.position.offset for entry in first] == list(range(start.offset + 1, start.offset + len(first) + 1))
        versions: dict[str, list[int]] = defaultdict(list)
        for entry in first:
            for change in entry.commit.changes:
                versions[change.id].append(int(change.record[5:-1]))  # type: ignore[index]
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())

    asyncio.run(scene())
