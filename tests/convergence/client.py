"""A client that does what PROTOCOL.md says over any transport, loses its connection at any byte, and believes nothing.

Whatever it hears is checked: that nothing secret is in it, that positions grow, that no commit is torn, and that every
channel that it hears of is one that it has joined.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tests.convergence.shown import LOST, Lie, Message, Shown
from tests.support.carriers import KINDS
from tests.support.peer import Peer

# Seconds after the end of a token in which frames that were under way may still arrive.
UNDER_WAY = 1.0


class Client(Shown):
    """``token`` fetches a fresh one."""

    def __init__(self, name: str, user: str, port: int, token: Callable[[float], tuple[str, float]]) -> None:
        super().__init__(name, user)
        self._port, self._token = port, token
        self._broken = asyncio.Event()
        self._asked: dict[str, int] = {}
        self._at: dict[str, str | None] = {}
        self._peer: Peer | None = None
        self._number = 0
        self._pinging = False
        self._polls = False
        self._ends = 0.0
        self._seconds = 60.0
        # Channels of which the server has said that it sends no more.
        self._gone: set[str] = set()
        # The request of each channel that was the last to say so: it may have been asked for again before the answer.
        self._dropped: dict[str, int] = {}

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
            self._dropped[channel] = self._number
            await self._safely(self._say, {"type": "unsubscribe", "id": self._number, "channels": [channel]})

    async def cut(self, kind: str | None = None) -> None:
        """Lose the connection, perhaps to come back over another transport."""
        self.kind = kind or self.kind
        await self._hang_up(self._peer)

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

    async def ping(self) -> None:
        """Tell how far it is, if it has heard the answer to the last time."""
        if not self._pinging and self._live and self.kind != "poll":
            self._pinging = True
            await self._safely(self._say, {"type": "ping", "position": self.position})

    # What it does by itself.

    async def _lost(self) -> None:
        for channel in self._live:
            self._at[channel] = self.position
        self._live, self._asked, self._peer, self._gone, self._pinging = set(), {}, None, set(), False

    async def _connect(self) -> None:
        self.counts["connections"] += 1
        token, self._ends = self._token(self._seconds)
        peer: Any = KINDS[self.kind](self._port)
        # What it is to change to while it still takes an answer is for the next time.
        self._polls = self.kind == "poll"
        heard = True
        async with peer:
            await peer.say({"type": "hello", "token": token})
            self._peer = peer
            if self.kind == "poll":
                await self._subscribe()
            self._broken.clear()
            while self._awake.is_set() or peer.rest:
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
        """The next message; None where the connection has ended or is to be taken for lost.

        The answer to a poll is taken whole: its end is where all of its channels are.
        """
        if peer.rest:
            return await peer.receive()
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
        self._listen(text)
        match message.get("type"):
            case "subscribed":
                self._subscribed(message)
            case None:
                self._commit(message)
            case "ping" if message.get("position"):
                self._move(message["position"], strictly=False)
            case "reset" if message.get("reason") == "behind" and not self._polls:
                raise Lie(f"{self.name} is told that something got lost on the way: {text}")
            case "reset" | "leave" as kind:
                self._part(message["channels"], refused=kind == "leave")
            case "error" if "channel" in message:
                # A poll asks for its channels each time, with numbers of its own.
                again = self._polls and message["channel"] in self._live
                if again or self._asked.get(message["channel"]) == message.get("id"):
                    self._part([message["channel"]], refused=message["code"] == "forbidden")
            case "needs_auth":
                self.counts["renewals"] += 1
                self._lost_rights()
                await self.renew()
            case "unsubscribed":
                last = {name for name in message["channels"] if self._dropped.get(name) == message["id"]}
                self._gone.update(last - self.wanted)
            case "error" if "token" in message["code"]:
                raise EOFError(message["code"])
            case "pong":
                self._pinging = False
            case "renewed" | "hello" | "bye" | "error" | "ping":
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
            again = channel in self._live and (number is None or self._polls)
            if not again and (number is None or self._asked.get(channel) != number):
                continue
            if item.get("recovered"):
                recovered.add(channel)
                self.counts["recovered"] += 1
            else:
                self._fill(item)
            self._live.add(channel)
            self._asked.pop(channel, None)
        self._missed(message, recovered)
        self._move(message["position"], strictly=False)

    def _commit(self, commit: Message) -> None:
        self._changes(commit, self._live)
        self._move(commit["commit"], strictly=True)

    def _changes(self, commit: Message, channels: set[str]) -> None:
        if time.time() > self._ends + UNDER_WAY:
            raise Lie(f"{self.name} hears commits without a right to: {commit}")
        for change in commit["changes"]:
            if change["channel"] in self._gone:
                raise Lie(f"{self.name} hears of {change['channel']}, which it has left: {commit}")
        super()._changes(commit, channels)
