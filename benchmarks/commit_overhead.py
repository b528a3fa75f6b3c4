"""What capturing costs the transaction: CPU time of client and database, as ratios to SQLAlchemy without us.

Flush and commit of inserts, updates and deletes of a ten-column model in one transaction each, and transactions of one
row. Each variant runs in turn with plain SQLAlchemy, which goes first every other time; printed are the medians of the
ratios of these pairs, and plain against itself, which is the noise. Two numbers compare only within one run.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, func, select

# Run as a file, Python looks for modules beside it alone.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import overhead_variants as variants
from benchmarks.latency import pin
from tests.support.databases import postgres_engine, sqlite_engine

STEPS = ("insert", "update", "delete", "get+update", "add")
Times = dict[str, float]
Make = Callable[[Engine], variants.Variant]

MAKE: dict[str, Make] = {
    "plain": lambda engine: variants.plain("again", engine),
    "enabled": lambda engine: variants.captured("enabled", engine, other=True),
    "published": lambda engine: variants.captured("published", engine),
    "listener": lambda engine: variants.captured("listener", engine, wanted=True),
    "attributes": lambda engine: variants.captured("attributes", engine, wanted=True, read="attributes"),
    "naive": lambda engine: variants.naive("naive", engine),
}
TITLES = {
    "plain": "plain again (the noise)",
    "enabled": "enabled, not published",
    "published": "published, nobody listens",
    "listener": "listener, stored row (default)",
    "attributes": 'listener, read="attributes"',
    "naive": "naive hook, same schema",
    "continuum": "SQLAlchemy-Continuum",
}
BARS: dict[str, dict[str, float]] = {
    "enabled": dict.fromkeys(STEPS, 1.03),
    "published": {"insert": 1.15, "update": 1.3},
    "listener": {"insert": 1.4, "update": 1.8, "get+update": 1.5, "add": 1.5},
}


class Clock:
    """CPU seconds of this process and of the database's process that serves it."""

    def __init__(self, engine: Engine) -> None:
        self._backend = None
        if engine.dialect.name == "postgresql":
            with engine.connect() as connection:
                self._backend = connection.scalar(select(func.pg_backend_pid()))

    def __call__(self) -> float:
        return time.process_time() + (self._served() if self._backend is not None else 0)

    def _served(self) -> float:
        folder = Path(f"/proc/{self._backend}")
        try:
            # Nanoseconds; stat counts ticks of 10 ms.
            return int((folder / "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(variant: variants.Variant, clock: Clock, bulk: int, single: int) -> Times:
    """CPU seconds of every step on a table that is empty before and after."""
    times: Times = {}
    for name, session, step in variants.bulk_steps(variant, bulk):
        gc.collect()
        start = clock()
        step(session)
        times[name] = clock() - start
    gc.collect()
    start = clock()
    variants.add_each(variant, single)
    times["add"] = clock() - start
    with variant.sessions() as session:
        keys = list(session.scalars(select(variant.model.id)))
    gc.collect()
    start = clock()
    variants.change_each(variant, keys)
    times["get+update"] = clock() - start
    with variant.sessions.begin() as session:
        session.connection().execute(delete(variant.model.__table__))
    return times


def compare(engine: Engine, names: list[str], options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """The ratios of every pair, by variant and step."""
    base = variants.plain("plain", engine)
    made = {name: MAKE[name](engine) for name in names}
    clock = Clock(engine)
    for each in (base, *made.values()):
        each.metadata.create_all(engine)
        measure(each, clock, min(options.rows, 500), min(options.transactions, 50))
    ratios: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(options.rounds):
        for name, variant in made.items():
            pair = (base, variant) if number % 2 else (variant, base)
            times = {id(each): measure(each, clock, options.rows, options.transactions) for each in pair}
            for step in STEPS:
                ratios[name][step].append(times[id(variant)][step] / times[id(base)][step])
    return ratios


@contextmanager
def database(kind: str) -> Iterator[Engine]:
    """An empty one with a single connection, so that one process serves everything."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            engine = sqlite_engine(Path(folder), pool_size=1, max_overflow=0)
            yield engine
            engine.dispose()
    else:
        with postgres_engine(pool_size=1, max_overflow=0) as engine:
            yield engine


def continuum(kind: str, rows: int, transactions: int, pipe: Any) -> None:
    """In a process of its own, because its listeners are everybody's: plain first, then with it, a tenth of the work."""
    try:
        import sqlalchemy_continuum
    except ImportError as missing:
        pipe.send(str(missing))
        return
    pin(0)
    with database(kind) as engine:
        clock = Clock(engine)
        base = variants.plain("plain", engine)
        base.metadata.create_all(engine)
        before = [measure(base, clock, rows, transactions) for _ in range(3)][1:]
        sqlalchemy_continuum.make_versioned(user_cls=None)
        versioned = variants.plain("continuum", engine, __versioned__={})
        versioned.model.registry.configure()
        versioned.metadata.create_all(engine)
        measure(versioned, clock, 100, 10)
        with_it = measure(versioned, clock, rows, transactions)
        pipe.send({step: [with_it[step] / statistics.median(each[step] for each in before)] for step in STEPS})


def compare_continuum(kind: str, options: argparse.Namespace) -> dict[str, list[float]] | None:
    """Its ratios, or None, loudly, where it can't be measured."""
    ours, theirs = multiprocessing.Pipe()
    rows, transactions = max(options.rows // 10, 100), max(options.transactions // 10, 50)
    child = multiprocessing.Process(target=continuum, args=(kind, rows, transactions, theirs))
    child.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        found = "its process failed"
    child.join()
    if isinstance(found, str):
        print(f"!!! SQLAlchemy-Continuum is NOT in this table: {found}. Install the extra: pip install -e '.[bench]'")
        return None
    return dict(found)


def table(kind: str, ratios: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    """Medians, the bar behind a slash, and a mark where it is not met."""
    yield f"{kind:<32}" + "".join(f"{step:>16}" for step in STEPS)
    for name, steps in ratios.items():
        cells = []
        for step in STEPS:
            ratio, bar = statistics.median(steps[step]), BARS.get(name, {}).get(step)
            cells.append(f"{ratio:.2f}" + ("" if bar is None else f" /{bar:.2f}{'' if ratio <= bar else ' !'}"))
        yield f"{TITLES[name]:<32}" + "".join(f"{cell:>16}" for cell in cells)
    noise = [each for steps in ratios.get("plain", {}).values() for each in steps]
    if noise:
        yield f"single pairs of plain with itself: {min(noise):.2f} to {max(noise):.2f}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="of one transaction")
    parser.add_argument("--transactions", type=int, default=1_000, help="of one row")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each variant")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: whether it runs, not what it costs")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--variant", choices=(*MAKE, "continuum"), action="append")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.transactions, options.rounds = options.rows // 10, options.transactions // 10, 3
    multiprocessing.set_start_method("spawn")
    pin(0)
    print(f"CPU time over plain SQLAlchemy's / bar (! not met); {options.rows} rows, {options.transactions} transactions,")
    print(f"medians of {options.rounds} pairs")
    chosen = options.variant or [*MAKE, "continuum"]
    for kind in options.database or ("sqlite", "postgresql"):
        with database(kind) as engine:
            ratios = dict(compare(engine, [name for name in chosen if name in MAKE], options))
        found = compare_continuum(kind, options) if "continuum" in chosen else None
        if found is not None:
            ratios["continuum"] = found
        print("\n".join(("", *table(kind, ratios))), flush=True)


if __name__ == "__main__":
    main()
