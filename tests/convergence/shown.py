"""What a client of the oracle shows, and the checks of whatever it hears: it believes nothing.

Nothing secret is in a message, no row is for somebody else, positions grow, and no commit is torn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.exceptions import WebSocketException

from sqla_realtime.commit import Position
from tests.convergence.models import FIELDS, SECRET

Message = dict[str, Any]
Rows = dict[tuple[str, str], Message]

# What it can look like when a connection breaks at any byte, or is cut while it is used.
LOST = (OSError, EOFError, TimeoutError, WebSocketException)


class Lie(Exception):
    """Something was heard that must not be."""


class Shown:
    """``wanted`` are the channels that it is to show, ``rows`` what it shows, ``position`` how far it is."""

    def __init__(self, name: str, user: str | None) -> None:
        self.name, self.user = name, user
        self.kind = "websocket"
        self.wanted: set[str] = set()
        self.rows: dict[str, Rows] = {}
        self.position: str | None = None
        self.refused: set[str] = set()
        self.counts = dict.fromkeys(("connections", "recovered", "rows", "changes", "resets", "renewals"), 0)
        # Called whenever it may have got further.
        self.moved: Callable[[], object] = lambda: None
        self.failure: BaseException | None = None
        self.last: deque[str] = deque(maxlen=60)
        self._live: set[str] = set()
        self._awake = asyncio.Event()
        self._awake.set()

    def sleep(self) -> None:
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()

    async def run(self) -> None:
        """Connect for ever; ends with what was wrong."""
        while True:
            await self._awake.wait()
            try:
                await self._connect()
            except LOST:
                pass
            except Exception as wrong:
                is_lie = isinstance(wrong, Lie)
                self.failure = wrong if is_lie else Lie(f"{self.name} can't make anything of what it hears: {wrong!r}")
                self.moved()
                return
            finally:
                await self._lost()
            await asyncio.sleep(0.02)

    async def _connect(self) -> None:
        """Once, for as long as it lasts."""
        raise NotImplementedError

    async def _lost(self) -> None:
        """The connection is no more."""
        raise NotImplementedError

    @property
    def missing(self) -> set[str]:
        """What it wants and does not show."""
        return self.wanted - self.refused - self._live

    def story(self) -> str:
        """Where it is, for people."""
        heard = "\n    ".join(self.last)
        return f"{self.name} over {self.kind} at {self.position}, without {sorted(self.missing)}, {self.counts}\n    {heard}"

    def is_at(self, head: Position) -> bool:
        """Whether it shows all that it wants, as of this position or later."""
        at = Position.parse(self.position or "")
        if not self.wanted - self.refused:
            return True
        return not self.missing and at is not None and at.epoch == head.epoch and at.offset >= head.offset

    def _listen(self, text: str) -> None:
        self.last.append(text[:1500])
        if SECRET in text:
            raise Lie(f"{self.name} heard a secret: {text}")

    def _fill(self, item: Message) -> None:
        self.counts["rows"] += 1
        for row in item["rows"]:
            self._check_record(item["channel"], row["record"])
        self.rows[item["channel"]] = {(row["class"], row["id"]): row["record"] for row in item["rows"]}

    def _missed(self, message: Message, recovered: set[str]) -> None:
        last = -1
        for commit in message.get("commits", ()):
            at = Position.parse(commit["commit"])
            if at is None or at.offset <= last:
                raise Lie(f"{self.name} is told what it missed in another order: {message}")
            last = at.offset
            self._changes(commit, recovered)

    def _changes(self, commit: Message, channels: set[str]) -> None:
        for change in commit["changes"]:
            if change["channel"] in channels:
                self._apply(change["channel"], change)

    def _apply(self, channel: str, change: Message) -> None:
        self.counts["changes"] += 1
        rows, key = self.rows.setdefault(channel, {}), (change["class"], change["id"])
        if change["type"] == "destroy":
            if "record" in change:
                raise Lie(f"{self.name} heard more than a key: {change}")
            rows.pop(key, None)
        else:
            self._check_record(channel, change["record"])
            rows[key] = change["record"]

    def _check_record(self, channel: str, record: Message) -> None:
        kind, _, parameter = channel.partition("/")
        if set(record) != FIELDS[kind]:
            raise Lie(f"{self.name} heard fields that {channel} does not have: {record}")
        if (kind == "mine" and not record["owner"] == parameter == self.user) or (
            kind == "rooms" and str(record["room"]) != parameter
        ):
            raise Lie(f"{self.name} ({self.user}) heard a row that is not in {channel}, or not for it: {record}")

    def _check_pairs(self, text: str) -> None:
        stamps = {record["stamp"] for record in self.rows.get("pairs", {}).values()}
        if len(stamps) > 1:
            raise Lie(f"{self.name} shows a commit in part: {self.rows['pairs']} after {text[:300]}")

    def _move(self, text: str, *, strictly: bool) -> None:
        old, new = Position.parse(self.position or ""), Position.parse(text)
        if new is None:
            raise Lie(f"{self.name} heard of a position {text!r}")
        if old is not None and old.epoch == new.epoch and (new.offset < old.offset or (strictly and new.offset == old.offset)):
            raise Lie(f"{self.name} went back from {old} to {new}")
        self.position = text
