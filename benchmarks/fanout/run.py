"""What a delivery costs: the product and its peers beside a C program that does nothing but send, all in one run.

The server has one core, the load generator another. Runs are interleaved: every server of a scenario, then the next
scenario, then all over again, so that a neighbour's load falls on all of them. What counts is the server's CPU time per
delivery, relative to the floor's in the same run. Writes benchmarks/RESULTS.md and benchmarks/results.png.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

# Run as a file, Python looks for modules beside it alone.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fanout import build, report
from benchmarks.fanout.cell import Failed, many_files
from benchmarks.fanout.scenarios import TITLES, scenario
from benchmarks.fanout.servers import FLOOR_NAME, SERVERS, Server

RAW = build.BUILT / "raw.json"
Results = dict[str, dict[str, list[dict[str, Any]]]]


def available(names: list[str]) -> list[Server]:
    """The servers that can run here, the floor first; loud about the others."""
    found = []
    for server in SERVERS:
        if server.name not in names and server.name != FLOOR_NAME:
            continue
        missing = server.missing()
        if missing is None:
            found.append(server)
        else:
            build.loudly(f"{server.title} is NOT measured: {missing}.")
    return found


def measure(server: Server, name: str, seconds: float) -> dict[str, Any] | None:
    """One cell of one run, None where it failed; loud about that."""
    began = time.monotonic()
    try:
        figures = scenario(name)(server, seconds)
    except Failed as failed:
        build.loudly(f"{server.title}, {TITLES[name]}: {failed}.")
        return None
    print(f"{name:<10}{server.name:<26}{time.monotonic() - began:6.1f} s  {report.line(figures)}", flush=True)
    return figures


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", choices=[server.name for server in SERVERS], metavar="NAME")
    parser.add_argument("--scenarios", nargs="+", choices=list(TITLES), metavar="NAME")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--list", action="store_true", help="show the names of servers and scenarios")
    parser.add_argument("--render", action="store_true", help="write the tables of the last run again")
    parser.add_argument("--output", type=Path, default=build.ROOT / "benchmarks", help="where the tables go")
    options = parser.parse_args()
    if options.list:
        print(*(f"{server.name:<26}{server.title}" for server in SERVERS), "", sep="\n")
        print(*(f"{name:<26}{title}" for name, title in TITLES.items()), sep="\n")
        return
    if not options.render:
        if not build.compiled():
            return
        many_files()
        run(options)
    raw = json.loads(RAW.read_text())
    whole = not (options.servers or options.scenarios)
    if whole or options.render or options.output != parser.get_default("output"):
        report.write(raw, options.output)
    print("\n".join(report.tables(raw)))


def run(options: argparse.Namespace) -> None:
    """All cells, interleaved; what is measured is kept after each run."""
    servers = available(options.servers or [server.name for server in SERVERS])
    names = options.scenarios or list(TITLES)
    results: Results = {name: {} for name in names}
    began = time.time()
    for number in range(options.runs):
        print(f"-- run {number + 1} of {options.runs}", flush=True)
        for name in names:
            for server in servers:
                if server.takes(name) and (name, server.name) not in failed:
                    figures = measure(server, name, options.seconds)
                    if figures is None:
                        failed.add((name, server.name))
                    else:
                        results[name].setdefault(server.name, []).append({"run": number, **figures})
        raw = {"began": began, "runs": number + 1, "seconds": options.seconds, "scenarios": results}
        RAW.write_text(json.dumps({**raw, "machine": report.machine()}))


# What has failed once is not waited for again.
failed: set[tuple[str, str]] = set()


if __name__ == "__main__":
    main()
