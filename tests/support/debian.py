"""Servers of other projects that the tests run as their children: what is installed, else what scripts/debian.sh unpacked."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import ROOT

UNPACKED = ROOT / ".debian"


@dataclass(frozen=True, slots=True)
class Program:
    """A file to run, and the environment that it is run with."""

    path: str
    environment: dict[str, str]


def program(name: str) -> Program:
    """The program of this name; the test is skipped where there is none, and fails where that must not be."""
    places = (name, f"/usr/sbin/{name}", str(UNPACKED / "usr/sbin" / name), str(UNPACKED / "usr/bin" / name))
    found = next(filter(None, map(shutil.which, places)), None)
    if found is None:
        missing = f"NO {name}, so nothing was seen with one: run `make servers`, or install it."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    environment = dict(os.environ)
    if Path(found).is_relative_to(UNPACKED):
        folders = sorted({str(each.parent) for each in (UNPACKED / "usr/lib").rglob("*.so.*")})
        environment["LD_LIBRARY_PATH"] = ":".join([*folders, environment.get("LD_LIBRARY_PATH", "")]).strip(":")
    return Program(found, environment)
