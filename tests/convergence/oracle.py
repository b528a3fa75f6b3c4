"""Plays random steps on clients of all transports: `python -m tests.convergence.oracle [KIND] [STEPS] [SEED]`.

KIND is the database, and where the log is: sqlite or postgres with a log in memory; shared-sqlite, shared-postgres or
shared-mysql with one in the database; watched-postgres has triggers besides, and writers that nobody listens to. A seed
decides the steps; how threads and sockets interleave is the machine's. A seed that failed is played alone with STEPS=1.
`python -m tests.convergence.oracle faults` plants each fault in turn.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.convergence.faults import FAULTS
from tests.convergence.models import CHANNELS, OWNERS
from tests.convergence.shown import Lie
from tests.convergence.world import World
from tests.support.databases import new_engine

KINDS = ("sqlite", "postgres", "shared-sqlite", "shared-postgres", "shared-mysql", "watched-postgres")
# Steps of one seed: what happens to the clients, and the transactions meanwhile.
ACTIONS, TRANSACTIONS = 30, 60


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of an empty one."""
    with tempfile.TemporaryDirectory() as folder, new_engine(kind, Path(folder)) as engine:
        yield engine.url.render_as_string(hide_password=False)


async def disturb(world: World, dice: random.Random) -> None:
    """One thing that happens to a client, or to the server."""
    client = dice.choice([each for each in world.clients if each is not world.spared])
    channel = dice.choice(CHANNELS)
    match dice.randrange(18):
        case 0 | 1 | 2 | 3:
            await client.want(channel)
        case 4 | 5:
            await client.drop(channel)
        case 6 | 7:
            await client.cut()
        case 8 | 9:
            await client.cut(dice.choice(["websocket", "sse", "poll"]))
        case 10:
            client.sleep()
            await client.cut()
        case 11:
            for each in world.clients:
                each.wake()
        case 12:
            client.live_for(dice.choice([1.2, 2.0, 60.0]))
            await client.cut()
        case 13:
            await client.renew()
        case 14:
            await world.tell("ban", owner=dice.choice(OWNERS), banned=dice.random() < 0.5, revoke=dice.random() < 0.5)
        case 15:
            await asyncio.sleep(dice.random() / 20)
        case _:
            await client.ping()


async def play(world: World, seed: int) -> None:
    """The steps of one seed, and then peace. Raises Lie."""
    dice = random.Random(seed)
    world.cable.dice = random.Random(f"{seed}/cable")
    for client in world.clients:
        await client.want("pairs")
    # Whatever else happens: somebody's token ends soon, and somebody may no longer see what he sees.
    known = [client for client in world.clients if client.user is not None]
    brief, banned = dice.choice(known), dice.choice(known)
    brief.live_for(0.8)
    await brief.cut()
    await banned.want(f"mine/{banned.user}")
    end = dice.choice(["write", "write", "write", "restart", "kill", "expire"])
    world.spared = brief if end == "expire" else None
    writing = asyncio.ensure_future(world.write(seed, TRANSACTIONS, dice.choice([1, 2, 3])))
    for number in range(ACTIONS):
        await disturb_while(world, dice, writing)
        if number == ACTIONS // 2 and end == "kill":
            await world.kill()
            # What was being written is lost, or not; others write on.
            await asyncio.gather(writing, return_exceptions=True)
            writing = asyncio.ensure_future(world.write(-seed - 1, TRANSACTIONS // 2, 2))
        elif number == ACTIONS // 2 and end == "restart":
            await world.restart()
        elif number == ACTIONS // 3:
            await world.tell("ban", owner=banned.user, banned=dice.random() < 0.6, revoke=dice.random() < 0.5)
    await asyncio.gather(writing, return_exceptions=True)
    if end == "expire":
        # Whoever is left alone for so long hears of the end of its token, or should not hear these.
        for number in range(5):
            await asyncio.sleep(0.5)
            await world.write(f"{seed}/{number}", 4, 1)
    await world.settle()


async def disturb_while(world: World, dice: random.Random, writing: asyncio.Future[None]) -> None:
    """A step, with a little of what is written between it and the next."""
    await disturb(world, dice)
    if not writing.done():
        await asyncio.wait([writing], timeout=dice.random() / 30)


async def run(kind: str, seeds: range, fault: str | None = None, seconds: float = float("inf")) -> str:
    """Play seeds, for so long. Raises Lie with the seed."""
    start, steps = time.monotonic(), 0
    tier, _, base = kind.rpartition("-")
    with database(base) as url:
        async with World(url, fault, "database" if tier else "memory", watched=tier == "watched") as world:
            for seed in seeds:
                try:
                    await play(world, seed)
                except Lie as lie:
                    raise Lie(f"{kind}, seed {seed}: {lie}") from None
                steps += ACTIONS + TRANSACTIONS
                if time.monotonic() - start > seconds:
                    break
            clients = {name: sum(each.counts[name] for each in world.clients) for name in world.clients[0].counts}
            counts = {**world.counts, **clients, "cuts": world.cable.cuts}
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{kind}: seeds {seeds.start} to {seed}: {steps} steps, {told}; {time.monotonic() - start:.0f} s"


def find_faults() -> None:
    """Plant each fault; every one must be found within a minute."""
    for fault in FAULTS:
        start = time.monotonic()
        try:
            told = asyncio.run(run("sqlite", range(100_000), fault=fault, seconds=60))
        except Lie as lie:
            print(f"{fault}: found in {time.monotonic() - start:.0f} s: {str(lie).splitlines()[0][:160]}", flush=True)
        else:
            sys.exit(f"{fault}: NOT found; {told}")


def main() -> None:
    """Play and print."""
    if sys.argv[1:] == ["faults"]:
        find_faults()
        return
    kinds = [sys.argv[1]] if len(sys.argv) > 1 else list(KINDS)
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    for kind in kinds:
        count = max(1, steps // (ACTIONS + TRANSACTIONS) // len(kinds))
        try:
            print(asyncio.run(run(kind, range(seed, seed + count))), flush=True)
        except Lie as lie:
            sys.exit(str(lie))


if __name__ == "__main__":
    main()
