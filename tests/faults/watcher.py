"""A client of the fault run: it comes back wherever it can, and believes nothing that contradicts what it knows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from websockets.exceptions import WebSocketException

from tests.faults.app import CHANNEL
from tests.support.carriers import EventsPeer, PollPeer
from tests.support.peer import Peer

KINDS: dict[str, type[Peer]] = {"websocket": Peer, "sse": EventsPeer, "poll": PollPeer}
# What a connection that breaks, or a server that is not there, can look like.
LOST = (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError, WebSocketException)


class Lie(AssertionError):
    """What was told can't be."""


class Watcher:
    """Of one transport, on any of the servers; ``rows`` by their number. ``counts`` adds up what happened to all of them."""

    def __init__(self, kind: str, ports: Sequence[int], dice: random.Random, counts: Counter[str]) -> None:
        self.kind = kind
        self._ports = ports
        self._dice = dice
        self._counts = counts
        self._number = 0
        self.rows: dict[int, dict[str, Any]] = {}
        self._position: str | None = None

    async def run(self) -> None:
        """For ever. Raises Lie."""
        while True:
            peer = KINDS[self.kind](self._dice.choice(self._ports))
            peer.rows = {CHANNEL: {}}
            peer.position = self._position
            self._listen(peer)
            try:
                async with peer:
                    await peer.hello()
                    await self._join(peer, self._position)
                    while True:
                        message = await peer.hear()
                        if message.get("type") in ("reset", "error"):
                            self._counts["resets"] += message["type"] == "reset"
                            await asyncio.sleep(0.05)
                            await self._join(peer, None)
            except LOST:
                self._counts["lost connections"] += 1
                await asyncio.sleep(self._dice.random() / 4)

    def _listen(self, peer: Peer) -> None:
        """Check whatever it hears, also on its way to an answer."""
        original = peer.apply

        def apply(message: dict[str, Any]) -> None:
            original(message)
            self._take(message)

        peer.apply = apply  # type: ignore[method-assign]

    async def _join(self, peer: Peer, after: str | None) -> None:
        self._number += 1
        await peer.subscribe(CHANNEL, after=after, number=self._number)

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("type") == "subscribed":
            [item] = message["channels"]
            if "rows" in item:
                self._counts["snapshots"] += 1
                self.rows = {int(row["id"]): row["record"] for row in item["rows"]}
            else:
                self._counts["recovered"] += 1
                self._counts["replayed"] += len(message.get("commits", ()))
            for commit in message.get("commits", ()):
                self._commit(commit)
            self._position = message["position"]
        elif "commit" in message:
            self._commit(message)
        elif message.get("type") == "ping" and "position" in message:
            self._position = message["position"]

    def _commit(self, commit: dict[str, Any]) -> None:
        self._counts["commits heard"] += 1
        if len(commit["changes"]) != 2 or len({change["record"]["stamp"] for change in commit["changes"]}) != 1:
            raise Lie(f"{self.kind} heard a commit in part: {commit}")
        for change in commit["changes"]:
            number, record = int(change["id"]), change["record"]
            if number in self.rows and record["count"] != self.rows[number]["count"] + 1:
                raise Lie(f"{self.kind} has {self.rows[number]} and hears, from {self._position}: {commit}")
            self.rows[number] = record
        self._position = commit["commit"]
