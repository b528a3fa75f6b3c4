"""Whatever happens to processes that share a log, their members are those that are there, and each turn is told once.

A process that is killed between what it says and what it hears of it takes with it what it had to tell, and so does one that
another one relies on; so here none is killed then.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from sqla_realtime.hub.parts import Turn
from tests.hub.test_company import LEASE, Log, Process
from tests.support.virtual import run

SEEDS = 60
USERS = "abcdef"
MOST = 4


class Site:
    """Some processes, and the connections of users to them."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.log = Log()
        self.live: list[Process] = []
        self.all: list[Process] = []
        self.told: list[str] = []
        self.connections: dict[tuple[str, str], Process] = {}
        self._number = 0
        self.start()

    def start(self) -> None:
        process = Process(self.log, old=10_000)
        process.company.realm("r").turned = self._turned
        self.live.append(process)
        self.all.append(process)

    def _turned(self, turn: Turn) -> None:
        self.told.append(("-" if turn.fact is None else "+") + turn.key.item)

    def join(self, user: str) -> None:
        self._number += 1
        place = user, str(self._number)
        process = self.connections[place] = self.dice.choice(self.live)
        process.join(user, connection=place[1])

    def part(self, place: tuple[str, str]) -> None:
        process = self.connections.pop(place)
        user, connection = place
        (process.lose if self.dice.random() < 0.5 else process.part)(user, connection=connection)

    async def end(self, process: Process, *, killed: bool) -> None:
        """Most of its clients come back, to other processes."""
        relied = any(each.company.parts.teller == process.name for each in self.live)
        if killed and (process.company._written is not None or relied):
            return
        lost = [place for place, at in self.connections.items() if at is process]
        if not killed:
            for user, connection in lost:
                process.lose(user, connection=connection)
            await process.company.close()
        process.killed()
        self.live.remove(process)
        for place in lost:
            del self.connections[place]
            if self.dice.random() < 0.7:
                self.join(place[0])

    async def step(self) -> None:
        chance = self.dice.random()
        if chance < 0.1 and len(self.live) < MOST:
            self.start()
        elif chance < 0.24 and len(self.live) > 1:
            await self.end(self.dice.choice(self.live), killed=chance < 0.17)
        elif chance < 0.6 or not self.connections:
            self.join(self.dice.choice(USERS))
        else:
            self.part(self.dice.choice(list(self.connections)))
        await asyncio.sleep(self.dice.choice((0, 0, 0.1, 0.5, 2, 5, 15)))


def check_by_turns(words: list[str], there: set[str] | None) -> None:
    """Everybody comes before it goes, and neither twice; in the end those are here who are there."""
    for user in USERS:
        turns = "".join(word[0] for word in words if word[1:] == user)
        assert "++" not in turns
        assert "--" not in turns
        assert not turns.startswith("-")
        assert there is None or turns.endswith("+") is (user in there), (user, turns)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_members_are_those_that_are_there_and_each_turn_is_told_once(seed: int) -> None:
    async def scene() -> None:
        site = Site(seed)
        for _ in range(site.dice.randrange(10, 60)):
            await site.step()
        await asyncio.sleep(7 * LEASE)
        there = {user for user, _ in site.connections}
        for process in site.live:
            assert process.there == " ".join(sorted(there))
            check_by_turns(process.seen, there)
        check_by_turns(site.told, there)

    run(scene())
