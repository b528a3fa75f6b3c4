"""What clients that never read cost the server and everyone else: one among 1,000, and a hundred among 1,000.

Each runs beside the same without them. The system's send buffers take megabytes before a server notices that nobody reads;
so records are of a kilobyte, and a client that reads no more has a small receive buffer. Bars: one of them costs less than
20 MB and the others' p99 stays within 1.2 times; of a hundred nobody holds more than its budget, and all are cut; whoever
wakes has every commit. `!` marks what is not met.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

# Run as a file, Python looks for modules beside it alone.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fanout import build
from benchmarks.fanout.cell import Bench, bench, many_files
from benchmarks.fanout.servers import PRODUCT
from sqla_realtime.settings import Settings

MEGABYTE = 1e6
ONE_BAR, P99_BAR = 20.0, 1.2
PAIRS, PAIR_SECONDS = 5, 15.0
BUDGET = Settings().queue_bytes / MEGABYTE


@dataclass(frozen=True)
class Outcome:
    """What a run with so many sleepers showed."""

    sleepers: int
    growth: float
    p50: float
    p99: float
    cut: int
    code: int
    whole: bool
    missing: int
    repeated: int
    busy: float


class Peak:
    """The most memory that a server had, looked at ten times a second."""

    def __init__(self, running: Bench) -> None:
        self.value = running.resident()
        self._running = running
        self._over = threading.Event()

    def watch(self) -> None:
        """In a thread of its own."""
        while not self._over.wait(0.1):
            self.value = max(self.value, self._running.resident())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look for as long as the block takes."""
        thread = threading.Thread(target=self.watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def run(sleepers: int, options: argparse.Namespace) -> Outcome:
    """A minute with so many of them; then they wake, and everyone must have everything."""
    server = replace(PRODUCT, command=(*PRODUCT.command, "--text", str(options.text)))
    with bench(server, options.connections, small=sleepers) as running:
        running.connect(options.connections)
        running.ask("verify 1")
        before = running.resident()
        running.ask(f"sleep {sleepers}")
        peak = Peak(running)
        with peak.watching():
            paced = running.ask(f"pace 1 {options.seconds} {options.rate} 1")
        # A client learns that it was cut when it reads again: the end of the stream comes after what it has not read.
        running.ask("comeback 1000")
        running.ask(f"wake {sleepers}")
        end = running.ask("settle 60")
        return Outcome(
            sleepers,
            (peak.value - before) / MEGABYTE,
            paced["p50"],
            paced["p99"],
            int(end["closed"]),
            int(end["code"]),
            end["live"] == options.connections and end["seconds"] < 60,
            int(end["missing"]),
            int(end["repeated"]),
            paced["server_cpu"] / paced["seconds"],
        )


def verdicts(without: Outcome, found: Outcome) -> Iterator[str]:
    """The bars, and whether each is met."""
    growth = found.growth - without.growth
    if found.sleepers == 1:
        yield mark(growth < ONE_BAR, f"memory beyond the run without it {growth:.1f} MB, bar {ONE_BAR:.0f}")
    else:
        most = found.sleepers * BUDGET
        yield mark(growth <= most, f"memory beyond the run without them {growth:.1f} MB, bar {most:.0f}")
        yield mark(found.cut == found.sleepers, f"cut {found.cut} of {found.sleepers}")
    yield mark(found.whole and not found.missing, f"awake again and whole: {found.whole}, {found.missing} commits missing")


def slower(options: argparse.Namespace) -> float:
    """How much longer the others wait, at the 99th percentile, where one never reads: the median of short runs in turn, since
    one run differs from the next by more than the bar."""
    brief = argparse.Namespace(**{**vars(options), "seconds": min(options.seconds, PAIR_SECONDS)})
    found = [(run(0, brief).p99, run(1, brief).p99) for _ in range(PAIRS)]
    return statistics.median(with_one / without for without, with_one in found if without)


def mark(met: bool, text: str) -> str:
    """A bar that is not met shows."""
    return ("  " if met else "! ") + text


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="commits a second")
    parser.add_argument("--text", type=int, default=1000, help="bytes of a record's text")
    parser.add_argument("--connections", type=int, default=1000)
    options = parser.parse_args()
    if not build.compiled():
        return
    many_files()
    print(f"{options.connections} clients of one channel, {options.rate:.0f} commits/s for {options.seconds:.0f} s")
    head = ("p50 ms", "p99 ms", "missing", "repeated", "busy")
    print(f"{'never reading':<16}{'growth MB':>10}{'cut':>5}{'code':>6}" + "".join(f"{name:>9}" for name in head))
    without = None
    for sleepers in (0, 1, 100):
        found = run(sleepers, options)
        without = without or found
        print(
            f"{sleepers:<16}{found.growth:>10.1f}{found.cut:>5}{found.code:>6}{found.p50:>9.2f}{found.p99:>9.2f}"
            f"{found.missing:>9}{found.repeated:>9}{found.busy:>9.2f}",
            flush=True,
        )
        if sleepers:
            print("\n".join(verdicts(without, found)), flush=True)
    ratio = slower(options)
    print(mark(ratio <= P99_BAR, f"p99 of the others beside one, {ratio:.2f} times, median of {PAIRS} pairs; bar {P99_BAR}"))


if __name__ == "__main__":
    main()
