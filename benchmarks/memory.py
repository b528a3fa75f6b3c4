"""What a large transaction costs in memory until it commits: resident growth, and bytes for each change that is held.

Rows are flushed in portions and let go, as an import does it, each variant in a process of its own. Held is what the
process has grown by before COMMIT beyond what plain SQLAlchemy has; the peak includes the commit itself.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import resource
import sys
import tracemalloc
from pathlib import Path
from typing import Any

# Run as a file, Python looks for modules beside it alone.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import overhead_variants as variants
from benchmarks.commit_overhead import MAKE, TITLES, database

PORTION = 1000
BAR_MEGABYTES, BAR_BYTES = 150, 1024


def resident() -> int:
    """Bytes of this process in memory."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(name: str, rows: int, update: bool, traced: bool, pipe: Any) -> None:
    """One transaction: growth before COMMIT and at its peak, and what tracemalloc counts before COMMIT."""
    with database("sqlite") as engine:
        variant = MAKE[name](engine)
        variant.metadata.create_all(engine)
        warm(variant, rows if update else 100)
        gc.collect()
        if traced:
            tracemalloc.start()
        start = resident()
        with variant.sessions() as session:
            touch(session, variant, rows, update)
            gc.collect()
            held = tracemalloc.get_traced_memory()[0] if traced else resident() - start
            session.commit()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - start
        pipe.send((held, peak))


def warm(variant: variants.Variant, rows: int) -> None:
    """Rows that are there before, made without being captured, and every cache filled."""
    with variant.sessions() as session:
        session.add_all(variants.rows(variant.model, 10))
        session.commit()
        columns = variant.model.__table__.columns.keys()[1:]
        for start in range(0, rows, PORTION):
            made = variants.rows(variant.model, min(PORTION, rows - start))
            values = [{name: getattr(each, name) for name in columns} for each in made]
            session.connection().execute(variant.model.__table__.insert(), values)
        session.commit()


def touch(session: Any, variant: variants.Variant, rows: int, update: bool) -> None:
    """Insert or update so many rows, a portion at a time."""
    for start in range(0, rows, PORTION):
        count = min(PORTION, rows - start)
        if update:
            chosen = session.query(variant.model).order_by(variant.model.id).offset(start).limit(count)
            for each in chosen:
                each.title += "!"
        else:
            session.add_all(variants.rows(variant.model, count))
        session.flush()
        session.expunge_all()


def run(name: str, options: argparse.Namespace, update: bool, traced: bool) -> tuple[int, int]:
    """The same in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=measure, args=(name, options.rows, update, traced, theirs))
    child.start()
    theirs.close()
    found = ours.recv()
    child.join()
    return int(found[0]), int(found[1])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    options = parser.parse_args()
    if options.quick:
        options.rows //= 10
    multiprocessing.set_start_method("spawn")
    print(f"One transaction of {options.rows} rows on SQLite, beyond what plain SQLAlchemy takes")
    print(f"{'':<40}{'held before COMMIT':>20}{'bytes per change':>18}{'peak with COMMIT':>18}")
    for update in (False, True):
        plain, plain_peak = run("plain", options, update, False)
        plain_traced, _ = run("plain", options, update, True)
        for name in ("published", "listener"):
            held, peak = run(name, options, update, False)
            traced, _ = run(name, options, update, True)
            each, megabytes = (traced - plain_traced) / options.rows, (peak - plain_peak) / 2**20
            mark = "" if each < BAR_BYTES and megabytes < BAR_MEGABYTES else " !"
            title = f"{'updates' if update else 'inserts'}: {TITLES[name]}"
            print(f"{title:<40}{(held - plain) / 2**20:>17.1f} MB{each:>18.0f}{megabytes:>15.1f} MB{mark}", flush=True)
    print(f"bars: {BAR_BYTES} bytes per change, {BAR_MEGABYTES} MB")


if __name__ == "__main__":
    main()
