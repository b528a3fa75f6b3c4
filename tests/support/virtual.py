"""An event loop whose time passes only when everybody waits: tests of seconds take none, and end at exact moments."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Instead of sleeping it tells how long it would have slept."""

    slept = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout > 0:
            self.slept += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at second 0. For one thread: what other threads do is not waited for."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.slept


def run(scene: Coroutine[Any, Any, T]) -> T:
    """What ``scene`` returns, without waiting for its sleeps. A scene that waits for ever raises RuntimeError."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scene)
