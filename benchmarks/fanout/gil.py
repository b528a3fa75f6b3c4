"""What a computing application and the broadcaster do to each other: one interpreter lock, or a process for each.

An application that computes without end runs beside the fan-out to 1,000 clients: as a thread of the same process, with
the default and with shorter switch intervals, and as a process of its own. The server may use every core, because on a
single one no thread can take the lock in the moment in which another lets go of it. Printed are latency at a fixed rate of
commits and the application's own speed meanwhile, and both at saturation; its speed is relative to the one that it has as a
thread while nothing is published. Medians of the runs, which are interleaved.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

# Run as a file, Python looks for modules beside it alone.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fanout import build
from benchmarks.fanout.cell import Answer, Bench, bench, many_files
from benchmarks.fanout.servers import PRODUCT

CONNECTIONS = 1000
MODES = {
    "no application": (),
    "thread, 5 ms switch interval (default)": ("--spin", "thread"),
    "thread, 1 ms": ("--spin", "thread", "--interval", "0.001"),
    "thread, 0.1 ms": ("--spin", "thread", "--interval", "0.0001"),
    "process of its own": ("--spin", "process"),
}
FIGURES = ("p50", "p99", "paced_speed", "rate", "full_speed")


def speed(before: Answer, after: Answer) -> float:
    """Turns of the application in a second."""
    return (after["turns"] - before["turns"]) / (after["clock"] - before["clock"])


def phase(running: Bench, command: str) -> tuple[Answer, float]:
    """A phase of the generator, and the application's speed in it."""
    before = running.status()
    answer = running.ask(command)
    return answer, speed(before, running.status())


def measure(arguments: tuple[str, ...], options: argparse.Namespace) -> dict[str, float]:
    """One run of one mode."""
    server = replace(PRODUCT, command=(*PRODUCT.command, *arguments))
    with bench(server, CONNECTIONS, core=None) as running:
        running.connect(CONNECTIONS)
        _, alone = phase(running, f"publish 0 {options.seconds}")
        paced, paced_speed = phase(running, f"pace 0.3 {options.seconds} {options.rate} 1")
        full, full_speed = phase(running, f"saturate 0.3 {options.seconds} 2 1")
        return {
            "alone": alone,
            "p50": paced["p50"],
            "p99": paced["p99"],
            "paced_speed": paced_speed,
            "rate": full["deliveries"] / full["seconds"],
            "full_speed": full_speed,
        }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=10.0, help="commits a second, each to 1,000 clients")
    options = parser.parse_args()
    if not build.compiled():
        return
    many_files()
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(options.runs):
        for name, arguments in MODES.items():
            found[name].append(measure(arguments, options))
    print(f"1 channel x {CONNECTIONS} clients, {options.rate:.0f} commits/s; medians of {options.runs} runs")
    print(f"{'the application is':<42}{'p50 ms':>9}{'p99 ms':>9}{'its speed':>11}{'saturated/s':>13}{'its speed':>11}")
    basis = statistics.median(run["alone"] for run in found["thread, 5 ms switch interval (default)"])
    for name, runs in found.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in FIGURES}
        speeds = [f"{middle[key] / basis:.2f}" if MODES[name] else "" for key in ("paced_speed", "full_speed")]
        print(f"{name:<42}{middle['p50']:>9.2f}{middle['p99']:>9.2f}{speeds[0]:>11}{middle['rate']:>13,.0f}{speeds[1]:>11}")


if __name__ == "__main__":
    main()
