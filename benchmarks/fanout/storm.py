"""Many at once: 2,000 connects a second for five seconds, then 2,000 clients reset at one moment, commits all the while.

Connects are offered at their rate however long each takes. Whoever is dropped comes back within a second, at a moment of
its own, and resumes. Bars: all are live, no commit is lost, and there are no more snapshot SELECTs than two for each
distinct channel. `!` marks what is not met.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

# Run as a file, Python looks for modules beside it alone.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fanout import build
from benchmarks.fanout.cell import Answer, Bench, bench, many_files
from benchmarks.fanout.servers import PRODUCT
from benchmarks.fanout.stalled import mark

COMEBACK_MS = 1000


def arrive(running: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Everyone comes within a few seconds."""
    start = running.status()["selects"]
    answer = running.ask(f"offer {options.rate} {options.seconds} {options.patience}")
    selects = running.status()["selects"] - start
    yield (
        f"{options.clients} connects offered at {options.rate:.0f}/s: {answer['live']:.0f} live after "
        f"{answer['seconds']:.2f} s, {answer['server_cpu'] / options.clients * 1e6:.0f} us of CPU each, "
        f"{answer['failed']:.0f} attempts failed"
    )
    yield from bars(answer, selects, options)


def drop(running: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Many are reset at one moment."""
    start, before = running.status()["selects"], running.ask("publish 50 0.5")
    running.ask(f"drop {options.dropped}")
    answer = running.ask(f"offer 0 0 {options.patience}")
    selects = running.status()["selects"] - start
    yield (
        f"{options.dropped} clients dropped at once: all {answer['live']:.0f} live again after {answer['seconds']:.2f} s, "
        f"{answer['recovered'] - before['recovered']:.0f} recovered, {answer['snapshots'] - before['snapshots']:.0f} reloaded"
    )
    yield from bars(answer, selects, options)


def bars(answer: Answer, selects: float, options: argparse.Namespace) -> Iterator[str]:
    """Everybody is there, and the database was asked a few times at most."""
    yield mark(answer["live"] == options.clients, f"live {answer['live']:.0f} of {options.clients}")
    yield mark(
        selects <= 2 * options.channels,
        f"snapshot SELECTs {selects:.0f} for {options.channels} channels, bar {2 * options.channels}",
    )


def settle(running: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Publishing ends; until everyone has the last commit."""
    end = running.ask(f"settle {options.patience}")
    whole = end["live"] == options.clients and end["seconds"] < options.patience
    yield mark(
        whole and not end["missing"],
        f"{end['published']:.0f} commits, {end['missing']:.0f} lost, {end['repeated']:.0f} repeated; all had the last one "
        f"{end['seconds']:.2f} s after it was made: {whole}",
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=2000.0, help="connects a second")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--dropped", type=int, default=2000)
    parser.add_argument("--channels", type=int, default=20)
    parser.add_argument("--commits", type=float, default=50.0, help="a second, all the while")
    parser.add_argument("--patience", type=float, default=60.0)
    options = parser.parse_args()
    options.clients = int(options.rate * options.seconds)
    if not build.compiled():
        return
    many_files()
    with bench(PRODUCT, options.clients, options.channels) as running:
        running.ask("verify 1")
        running.ask(f"comeback {COMEBACK_MS}")
        running.ask(f"publish {options.commits} 0")
        for step in (arrive, drop, settle):
            print("\n".join(step(running, options)), flush=True)


if __name__ == "__main__":
    main()
