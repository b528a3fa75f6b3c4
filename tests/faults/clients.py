"""Clients of the fault run, in a process of their own: `python -m tests.faults.clients FILE SEED FIRST COUNT PORT...`.

On SIGUSR1 the file has the rows that are stored; each client must come to show these. Then it is printed what all went through.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from tests.faults.watcher import KINDS, Lie, Watcher

PATIENCE = 60.0


async def watch(file: Path, watchers: list[Watcher]) -> None:
    """Until all show what is stored. Raises Lie."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, asked.set)
    watching = [asyncio.ensure_future(watcher.run()) for watcher in watchers]
    print("watching", flush=True)
    end = asyncio.ensure_future(_equal(asked, file, watchers))
    done, _ = await asyncio.wait([end, *watching], return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()
    for each in watching:
        each.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


async def _equal(asked: asyncio.Event, file: Path, watchers: list[Watcher]) -> None:
    await asked.wait()
    stored = await asyncio.to_thread(file.read_text)
    rows = {int(number): row for number, row in json.loads(stored).items()}
    end = asyncio.get_running_loop().time() + PATIENCE
    while late := [watcher for watcher in watchers if watcher.rows != rows]:
        if asyncio.get_running_loop().time() > end:
            raise Lie(f"{len(late)} clients do not show what is stored, such as a {late[0].kind}: {late[0].rows} for {rows}")
        await asyncio.sleep(0.1)


def main() -> None:
    file, seed = Path(sys.argv[1]), sys.argv[2]
    first, count, *ports = map(int, sys.argv[3:])
    kinds, counts = list(KINDS), Counter[str]()
    numbers = range(first, first + count)
    watchers = [Watcher(kinds[number % 3], ports, random.Random(f"{seed}/{number}"), counts) for number in numbers]
    try:
        asyncio.run(watch(file, watchers))
    except Lie as lie:
        sys.exit(str(lie))
    print("equal", json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
