"""A client that does what PROTOCOL.md says over any transport, loses its connection at any byte, and believes nothing.

Whatever it hears is checked: that nothing secret is in it, that positions grow, that no commit is torn, and that every
channel that it hears of is one that it has joined.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import WebSocketException

from sqla_realtime.commit import Position
from tests.convergence.models import FIELDS, SECRET
from tests.support.carriers import KINDS
from tests.support.peer import Peer

Message = dict[str, Any]
Rows = dict[tuple[str, str], Message]
# Seconds after the end of a token in which frames that were under way may still arrive.
UNDER_WAY = 1.0


# What it can look like when a connection breaks at any byte, perhaps in the middle of a number, or is cut while it is used.
LOST = (OSError, EOFError, TimeoutError, ValueError, AssertionError, WebSocketException)


class Lie(Exception):
    """Something was heard that must not be."""


class Client:
    """``token`` fetches a fresh one. ``wanted`` are the channels that it is to show, ``rows`` what it shows."""

    def __init__(self, name: str, user: str, port: int, token: Callable[[float], tuple[str, float]]) -> None:
        self.name, self.user, self._port, self._token = name, user, port, token
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
        self._broken = asyncio.Event()
        self._awake = asyncio.Event()
        self._awake.set()
        self._live: set[str] = set()
        self._asked: dict[str, int] = {}
        self._at: dict[str, str | None] = {}
        self._peer: Peer | None = None
        self._number = 0
        self._ends = 0.0
        self._seconds = 60.0
        # Channels of which the server has said that it sends no more.
        self._gone: set[str] = set()

    # What the oracle has it do.

    async def want(self, channel: str) -> None:
        self.wanted.add(channel)
        self.refused.discard(channel)
        self._gone.discard(channel)
        await self._safely(self._subscribe)

    async def drop(self, channel: str) -> None:
        self.wanted.discard(channel)
        self.rows.pop(channel, None)
        self._at.pop(channel, None)
        known = channel in self._live or channel in self._asked
        self._live.discard(channel)
        self._asked.pop(channel, None)
        if known:
            self._number += 1
            await self._safely(self._say, {"type": "unsubscribe", "id": self._number, "channels": [channel]})

    async def cut(self, kind: str | None = None) -> None:
        """Lose the connection, perhaps to come back over another transport."""
        self.kind = kind or self.kind
        await self._hang_up(self._peer)

    def sleep(self) -> None:
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()

    def live_for(self, seconds: float) -> None:
        """Its next tokens are to last so long."""
        self._seconds = seconds

    async def renew(self) -> None:
        if self.kind == "poll":
            await self._hang_up(self._peer)  # each poll says who it is; the next one with a fresh token
            return
        token, ends = self._token(self._seconds)
        self._number += 1
        self._ends = max(self._ends, ends)
        await self._safely(self._say, {"type": "renew", "id": self._number, "token": token})

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

    # What it does by itself.

    async def run(self) -> None:
        """Connect for ever; ends with what was wrong."""
        while True:
            await self._awake.wait()
            try:
                await self._connect()
            except Lie as lie:
                self.failure = lie
                self.moved()
                return
            except LOST:
                pass
            self._lost()
            await asyncio.sleep(0.02)

    def _lost(self) -> None:
        for channel in self._live:
            self._at[channel] = self.position
        self._live, self._asked, self._peer, self._gone = set(), {}, None, set()

    async def _connect(self) -> None:
        self.counts["connections"] += 1
        token, self._ends = self._token(self._seconds)
        peer: Any = KINDS[self.kind](self._port)
        heard = True
        async with peer:
            await peer.say({"type": "hello", "token": token})
            self._peer = peer
            if self.kind == "poll":
                await self._subscribe()
            self._broken.clear()
            while self._awake.is_set():
                text = await self._receive(peer)
                if text is None:
                    return
                message = json.loads(text)
                if message.get("type") == "hello" and heard and self.kind != "poll":
                    heard = False
                    await self._subscribe()
                await self._hear(text, message)
                peer.position = self.position

    async def _receive(self, peer: Peer) -> str | None:
        """The next message; None where the connection has ended or is to be taken for lost."""
        receiving, breaking = asyncio.ensure_future(peer.receive()), asyncio.ensure_future(self._broken.wait())
        try:
            await asyncio.wait([receiving, breaking], timeout=8, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() and not self._broken.is_set() else None
        finally:
            receiving.cancel()
            breaking.cancel()
            await asyncio.gather(receiving, breaking, return_exceptions=True)

    async def _say(self, message: Message) -> None:
        if self._peer is not None:
            self.last.append(f"said {message}")
            await self._peer.say(message)

    async def _safely(self, do: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """What can't be said is not known to have been heard: then it hangs up."""
        peer: Any = self._peer
        try:
            await do(*arguments)
        except LOST:
            await self._hang_up(peer)
        if getattr(peer, "refusal", None) is not None:
            await self._hang_up(peer)

    async def _hang_up(self, peer: Peer | None) -> None:
        if peer is not None and peer is self._peer:
            self._broken.set()
            with suppress(OSError):
                await peer.cut()

    async def _subscribe(self) -> None:
        """Ask for whatever is wanted and neither live nor asked for, from where it is."""
        peer = self._peer
        ask: dict[str | None, list[str]] = {}
        for channel in sorted(self.wanted - self._live - self._asked.keys() - self.refused):
            ask.setdefault(self._at.get(channel), []).append(channel)
        for after, channels in ask.items():
            if peer is None or peer is not self._peer:
                return  # lost meanwhile
            self._number += 1
            self._asked |= dict.fromkeys(channels, self._number)
            message: Message = {"type": "subscribe", "id": self._number, "channels": channels}
            await self._say(message if after is None else message | {"after": after})

    async def _hear(self, text: str, message: Message) -> None:
        self.last.append(text[:400])
        if SECRET in text:
            raise Lie(f"{self.name} heard a secret: {text}")
        match message.get("type"):
            case "subscribed":
                self._subscribed(message)
            case None:
                self._commit(message)
            case "ping" if message.get("position"):
                self._move(message["position"], strictly=False)
            case "reset" | "leave" as kind:
                self._part(message["channels"], refused=kind == "leave")
            case "error" if "channel" in message:
                # A poll asks for its channels each time, with numbers of its own.
                again = self.kind == "poll" and message["channel"] in self._live
                if again or self._asked.get(message["channel"]) == message.get("id"):
                    self._part([message["channel"]], refused=message["code"] == "forbidden")
            case "needs_auth":
                self.counts["renewals"] += 1
                self._lost_rights()
                await self.renew()
            case "unsubscribed":
                self._gone.update(set(message["channels"]) - self.wanted)
            case "error" if "token" in message["code"]:
                raise EOFError(message["code"])
            case "renewed" | "pong" | "hello" | "bye" | "error" | "ping":
                pass
            case other:
                raise Lie(f"{self.name} heard of {other}")
        self._check_pairs(text)
        await self._safely(self._subscribe)
        self.moved()

    def _lost_rights(self) -> None:
        for channel in self._live:
            self._at[channel] = self.position
        self._live, self._asked = set(), {}

    def _part(self, channels: list[str], *, refused: bool) -> None:
        for channel in channels:
            self._live.discard(channel)
            self._asked.pop(channel, None)
            self._at.pop(channel, None)
            if refused and channel in self.wanted:
                self.refused.add(channel)
                self.rows.pop(channel, None)
            self.counts["resets"] += not refused

    def _subscribed(self, message: Message) -> None:
        number, recovered = message.get("id"), set()
        for item in message["channels"]:
            channel = item["channel"]
            # Without a number the server goes on with what is live; a poll asks for that with numbers of its own.
            again = channel in self._live and (number is None or self.kind == "poll")
            if not again and (number is None or self._asked.get(channel) != number):
                continue
            if item.get("recovered"):
                recovered.add(channel)
                self.counts["recovered"] += 1
            else:
                self.counts["rows"] += 1
                for row in item["rows"]:
                    self._check_record(channel, row["record"])
                self.rows[channel] = {(row["class"], row["id"]): row["record"] for row in item["rows"]}
            self._live.add(channel)
            self._asked.pop(channel, None)
        last = -1
        for commit in message.get("commits", ()):
            at = Position.parse(commit["commit"])
            if at is None or at.offset <= last:
                raise Lie(f"{self.name} is told what it missed in another order: {message}")
            last = at.offset
            self._changes(commit, recovered)
        self._move(message["position"], strictly=False)

    def _commit(self, commit: Message) -> None:
        self._changes(commit, self._live)
        self._move(commit["commit"], strictly=True)

    def _changes(self, commit: Message, channels: set[str]) -> None:
        if time.time() > self._ends + UNDER_WAY:
            raise Lie(f"{self.name} hears commits without a right to: {commit}")
        for change in commit["changes"]:
            channel = change["channel"]
            if channel in self._gone:
                raise Lie(f"{self.name} hears of {channel}, which it has left: {commit}")
            if channel in channels:
                self._apply(channel, change)

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
