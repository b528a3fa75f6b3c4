"""A client that comes back: of any transport, from where it was, for as long as it is wanted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any

from websockets.exceptions import WebSocketException

from tests.support.carriers import KINDS
from tests.support.scene import PAGES

# What a connection that breaks, or a server that is not there, can look like.
LOST = (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError, WebSocketException)
PATIENCE = 60.0


class Guest:
    """Runs in the block. ``rows`` are what it shows; ``answers`` say of each connection how its channel began, ``byes`` are
    the reasons that it was told."""

    def __init__(self, kind: str, port: int) -> None:
        self.kind = kind
        self._port = port
        self._task: asyncio.Task[None] | None = None
        self._heard = asyncio.Condition()
        self._position: str | None = None
        self.rows: dict[Any, dict[str, Any]] = {}
        self.via: str | None = None
        self.answers: list[dict[str, Any]] = []
        self.byes: list[str] = []

    async def __aenter__(self) -> Guest:
        self._task = asyncio.create_task(self._run())
        await self.until(lambda: self.answers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def until(self, wanted: Any) -> None:
        """Go on until ``wanted()`` holds."""
        assert self._task is not None
        async with asyncio.timeout(PATIENCE), self._heard:
            await self._heard.wait_for(lambda: self._task.done() or wanted())
        if self._task.done():
            self._task.result()

    async def shows(self, titles: list[str]) -> None:
        """Go on until it shows these pages, in the order of their keys."""
        try:
            await self.until(lambda: self.titles == titles)
        except TimeoutError:
            raise AssertionError(f"{self.kind} shows {self.titles} for {titles}") from None

    @property
    def titles(self) -> list[str]:
        return [self.rows[key]["title"] for key in sorted(self.rows, key=lambda key: int(key[1]))]

    async def _run(self) -> None:
        try:
            while True:
                with suppress(*LOST):
                    await self._converse()
                await asyncio.sleep(0.05)  # as a client does, or it would try without a pause while nobody is there
        finally:
            async with self._heard:
                self._heard.notify_all()

    async def _converse(self) -> None:
        async with KINDS[self.kind](self._port) as peer:
            peer.rows = {PAGES: self.rows}
            self.via = (await peer.hello()).get("via")
            answer = await peer.subscribe(PAGES, after=self._position)
            self.answers.append(answer["channels"][0])
            while True:
                self.rows, self._position = peer.rows[PAGES], peer.position
                async with self._heard:
                    self._heard.notify_all()
                message = await peer.hear()
                assert message.get("type") not in ("reset", "error"), message
                if message.get("type") == "bye":
                    self.byes.append(message["reason"])
