"""The picture of the tables: for each scenario a bar per server, CPU per delivery over the floor's, on a logarithmic axis."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

from benchmarks.fanout.report import NAMES, ratios
from benchmarks.fanout.scenarios import TITLES
from benchmarks.fanout.servers import FLOOR_NAME


def plot(raw: dict[str, Any], path: Path) -> None:
    """Draw and save."""
    names = [name for name in raw["scenarios"] if name != "idle"]
    figure, axes = pyplot.subplots(len(names), 1, figsize=(9, 3.4 * max(len(names), 1)), squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        cells = raw["scenarios"][name]
        found = {server: ratios(cell, cells.get(FLOOR_NAME, []), "cpu") for server, cell in cells.items()}
        bars = sorted(((statistics.median(each), each, server) for server, each in found.items() if each), reverse=True)
        middle = [each[0] for each in bars]
        apart = [[each[0] - min(each[1]) for each in bars], [max(each[1]) - each[0] for each in bars]]
        colours = ["#c0392b" if server.startswith("product") else "#7f8c8d" for _, _, server in bars]
        axis.barh([NAMES[server] for _, _, server in bars], middle, xerr=apart, color=colours, ecolor="#2c3e50")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        axis.margins(x=0.15)
        axis.axvline(1, color="#2c3e50", linewidth=0.8)
        axis.set_title(TITLES[name], fontsize=10)
        axis.tick_params(labelsize=8)
        for place, value in enumerate(middle):
            axis.text(value * 1.04, place + 0.25, f"{value:.2f}", fontsize=7)
    axes[-1, 0].set_xlabel("server CPU per delivery over the floor's; the line is the range of the runs", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
