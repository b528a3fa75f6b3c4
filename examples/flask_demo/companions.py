"""Processes beside the demo's own, each ``python -m`` something: one that runs a script, and others that end when the demo
does, even if that is killed.

The demo holds the other end of a pipe that they read. Whatever ends the demo closes it: the system sees to that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

# One script at a time, whoever clicks.
_script = threading.Lock()


def run(*arguments: str, patience: float) -> str | None:
    """Run a script and wait for its end, for so many seconds at most. What it has printed; None where another one runs."""
    if not _script.acquire(blocking=False):
        return None
    try:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=patience, check=True)  # noqa: S603 - our own
        return done.stdout
    finally:
        _script.release()


def spawn(*arguments: str) -> subprocess.Popen[str]:
    """Start one that goes on. It is in a process group of its own: Ctrl+C is for the demo, which then ends it in its turn."""
    return subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def wait_for_the_end_of_the_demo() -> None:
    """In such a process: block until the demo is gone. Not through sys.stdin, whose lock would be held at exit."""
    while os.read(0, 1):
        pass
