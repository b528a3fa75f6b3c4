"""What a delivery costs in a foreign dialect: Pusher's and Juggernaut's clients beside our own, of one and the same server.

The same commits go to the same number of subscribers, once in each dialect, in turn; what counts is the server's CPU time
per delivery, relative to the native dialect's in the same run. A delivery is one commit for one subscriber, however many
messages the dialect makes of it: Pusher's has one for each change, Juggernaut's two for an update. Bar: a commit of one
change costs Pusher's clients at most 1.2 times. `!` marks what is not met.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

# Run as a file, Python looks for modules beside it alone.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fanout import build, report
from benchmarks.fanout.cell import Answer, Bench, bench, many_files
from benchmarks.fanout.scenarios import SHAPES, TITLES, Shape
from benchmarks.fanout.servers import PRODUCT, Server
from benchmarks.fanout.stalled import mark

BAR = 1.2
# Seconds before a turn counts.
WARM = 0.1
HEADING = "# What a dialect costs"


@dataclass(frozen=True)
class Dialect:
    """Who speaks it, and how many messages it makes of a change and of a commit with several."""

    name: str
    title: str
    server: Server
    each: int

    def pieces(self, changes: int) -> int:
        """The messages of a commit."""
        return max(self.each * changes, 1)


@dataclass(frozen=True)
class Cell:
    """A shape, and how many changes a commit has there."""

    shape: str
    changes: int = 1

    @property
    def title(self) -> str:
        """As in tables."""
        changes = "one change" if self.changes == 1 else f"{self.changes} changes"
        return f"{ALL_TITLES[self.shape]}, {changes}"


ALL_SHAPES = SHAPES | {"200x10": Shape(200, 2000, window=50)}
ALL_TITLES = TITLES | {"200x10": "200 channels x 10 connections"}
# All in one server, whatever its clients speak. No change at all is the native dialect's: one message for a commit.
SERVER = replace(PRODUCT, command=(*PRODUCT.command, "--dialects"))
NATIVE = Dialect("native", "our own", SERVER, 0)
PUSHER = Dialect("pusher", "Pusher's", replace(SERVER, kind="pusher", path="/app/bench?protocol=7&channel=%d"), 1)
# As the members of a presence channel do, but without a signature.
NAMED = Dialect("pusher-named", "Pusher's, by another name", replace(PUSHER.server, path=PUSHER.server.path + "&as=cache-"), 1)
JUGGERNAUT = Dialect("juggernaut", "Juggernaut's", replace(SERVER, kind="juggernaut", path="/socket.io/1/websocket/%.*s"), 2)
DIALECTS = (NATIVE, PUSHER, NAMED, JUGGERNAUT)
CELLS = (Cell("1x100"), Cell("1x1000"), Cell("200x10"), Cell("1x1000", 10))
Found = dict[tuple[Cell, str], list[dict[str, float]]]


def measure(cell: Cell, rounds: int, seconds: float) -> Iterator[tuple[Dialect, dict[str, float]]]:
    """All dialects at saturation in turn, each with a server of its own that is idle meanwhile: what a neighbour on the
    machine does lasts for longer than a turn, and so falls on all of them."""
    shape = ALL_SHAPES[cell.shape]
    with ExitStack() as stack:
        running: list[tuple[Dialect, Bench]] = []
        for dialect in DIALECTS:
            server = replace(dialect.server, command=(*dialect.server.command, "--changes", str(cell.changes)))
            each = stack.enter_context(bench(server, shape.connections, shape.channels))
            each.connect(shape.connections)
            each.ask(f"pieces {dialect.pieces(cell.changes)}")
            running.append((dialect, each))
        for _ in range(rounds):
            for dialect, each in running:
                yield dialect, turn(each.ask(f"saturate {WARM} {seconds} {shape.window} {shape.burst}"))
            running.append(running.pop(0))


def turn(answer: Answer) -> dict[str, float]:
    """The figures of one turn."""
    return {
        "cpu": answer["server_cpu"] / max(answer["deliveries"], 1) * 1e6,
        "rate": answer["deliveries"] / answer["seconds"],
        "busy": answer["server_cpu"] / answer["seconds"],
    }


def ratios(found: Found, cell: Cell, dialect: Dialect, key: str) -> list[float]:
    """A figure over the native one, turn by turn; without those in which nothing came through."""
    pairs = zip(found[cell, dialect.name], found[cell, NATIVE.name], strict=True)
    return [run[key] / native[key] for run, native in pairs if run["rate"] and native["rate"]]


def tables(found: Found) -> Iterator[str]:
    """Everything, as Markdown."""
    for cell in CELLS:
        yield from ("", f"## {cell.title}", "")
        yield "| clients | CPU / native | rate / native | CPU us per delivery | deliveries/s | turns, spread | |"
        yield "|---|---|---|---|---|---|---|"
        for dialect in DIALECTS:
            cpu, rate = ratios(found, cell, dialect, "cpu"), ratios(found, cell, dialect, "rate")
            runs = found[cell, dialect.name]
            figures = [statistics.median(cpu), statistics.median(rate), statistics.median(run["cpu"] for run in runs)]
            speed = statistics.median(run["rate"] for run in runs)
            low, _, high = statistics.quantiles(cpu, n=4)
            marks = ["noisy"] if high / low > report.NOISY else []
            marks += ["not kept busy"] if statistics.median(run["busy"] for run in runs) < report.BUSY else []
            row = [dialect.title, *map(report.number, figures), report.number(speed, 0)]
            yield f"| {' | '.join(row)} | {len(runs)}, {high / low:.2f} | {', '.join(marks)} |"


def verdicts(found: Found) -> Iterator[str]:
    """The bar, for every shape."""
    for cell in CELLS:
        for dialect in (PUSHER, NAMED) if cell.changes == 1 else ():
            ratio = statistics.median(ratios(found, cell, dialect, "cpu"))
            yield mark(ratio <= BAR, f"{cell.title}: {dialect.title} {ratio:.2f} times the native CPU, bar {BAR}")


INTRODUCTION = f"""{HEADING}

Written by `make bench`; {{turns}} turns of {{seconds}} s in {{runs}} runs, on {{date}}, in the same way as above. The same
commits go to the same number of subscribers, once in each dialect; the servers differ in nothing but what their clients
speak, and take turns. **Read the ratios:** a figure over that of our own clients in the turns beside it; medians. A delivery
is one commit for one subscriber, in one send: one message in our own dialect, one for each change in Pusher's, two for each
update in Juggernaut's. Pusher's clients know a channel by another name than the usual one in a presence channel, for example.
Spread is that of the middle half of the ratios; above {{noisy}} a row is noisy, as on a machine that others use.

Machine: {{machine}}."""


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--turns", type=int, default=5, help="of each dialect in a run")
    parser.add_argument("--seconds", type=float, default=0.4, help="of each turn")
    parser.add_argument("--output", type=Path, default=build.ROOT / "benchmarks", help="where the tables go")
    options = parser.parse_args()
    if not build.compiled():
        return
    many_files()
    found: Found = {(cell, dialect.name): [] for cell in CELLS for dialect in DIALECTS}
    for number in range(options.runs):
        print(f"-- run {number + 1} of {options.runs}", flush=True)
        for cell in CELLS:
            for dialect, figures in measure(cell, options.turns, options.seconds):
                found[cell, dialect.name].append(figures)
                print(f"{cell.shape:<10}{cell.changes:>3}  {dialect.name:<12}" + report.line(figures), flush=True)
    machine, turns = report.known(report.machine()), options.runs * options.turns
    head = INTRODUCTION.format(
        turns=turns, runs=options.runs, seconds=options.seconds, date=report.today(), machine=machine, noisy=report.NOISY
    )
    report.replace(options.output, "\n".join((head, *tables(found))))
    print("\n".join((*tables(found), "", *verdicts(found))))


if __name__ == "__main__":
    main()
