"""Hand-made counterparts of the hub: a client that records, a counting codec, and scripted doorkeeper, archive and log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from typing import Any

from sqla_realtime.brokers.base import Follower
from sqla_realtime.commit import Change, Commit, Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.history import Bounds
from sqla_realtime.hub.connection import Connection, several
from sqla_realtime.hub.doors import Archive, Doorkeeper, Guest, Handshake, Place, Refused
from sqla_realtime.hub.hub import Hub
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Row
from sqla_realtime.protocol.v1 import V1

EPOCH = "e"
Shown = dict[str, dict[str, int]]


def at(offset: int) -> Position:
    return Position(EPOCH, offset)


def row(key: int, value: int = 0) -> Row:
    return Row("Row", str(key), b'{"v":%d}' % value)


def put(channel: str, key: int, value: int = 0) -> Change:
    return Change(channel, "update", "Row", str(key), b'{"v":%d}' % value, ("v",))


def drop(channel: str, key: int) -> Change:
    return Change(channel, "destroy", "Row", str(key))


def entry(offset: int, *changes: Change, invalidated: Sequence[str] = (), origin: str | None = None) -> Entry:
    return Entry(at(offset), Commit(changes, frozenset(invalidated), origin))


def make_hub(offset: int = 0, bounds: Bounds | None = None, clock: Callable[[], float] = lambda: 0.0) -> Hub:
    return Hub(at(offset), bounds or Bounds(), clock)


class CountingCodec(V1):
    """The native dialect under any name, counting what is spelled."""

    def __init__(self, name: str = "counting") -> None:
        self.name = name
        self.spelled: Counter[str] = Counter()

    def change(self, change: Change) -> bytes:
        self.spelled["change"] += 1
        return super().change(change)

    def commit(self, position: Position, changes: Sequence[bytes], origin: str | None = None) -> bytes:
        self.spelled["commit"] += 1
        return super().commit(position, changes, origin)


class Heard(Connection):
    """A connection that tells when there is something to drain."""

    hear: Callable[[], object] = lambda: None

    def wake(self) -> None:
        self.hear()


class Client:
    """A connection whose transport is always ready, and what a client makes of its messages."""

    def __init__(self, codec: V1 | None = None, budget: int = 1_000_000, reads: bool = True) -> None:
        self.connection = Heard(codec or V1(), budget)
        self.connection.hear = self._wake
        self.reads = reads
        self.frames: list[bytes] = []
        self.messages: list[dict[str, Any]] = []
        self.shown: Shown = {}
        self.position: str | None = None
        self.wakes = 0

    def _wake(self) -> None:
        self.wakes += 1
        if self.reads:
            self.read()

    def read(self) -> None:
        """Take everything that is queued off the connection."""
        for frame in several(self.connection.drain()):
            self.connection.flushed(len(frame))
            self.frames.append(frame)
            self.messages.append(json.loads(frame))
            self._apply(self.messages[-1])

    def heard(self) -> list[dict[str, Any]]:
        """The messages since the last time."""
        messages, self.messages = self.messages, []
        return messages

    def _apply(self, message: dict[str, Any]) -> None:
        for item in message["channels"] if message.get("type") == "subscribed" else ():
            if "rows" in item:
                self.shown[item["channel"]] = {each["id"]: each["record"]["v"] for each in item["rows"]}
        for commit in message.get("commits", [message] if "commit" in message else []):
            for change in commit["changes"]:
                rows = self.shown[change["channel"]]
                if change["type"] == "destroy":
                    rows.pop(change["id"], None)
                else:
                    rows[change["id"]] = change["record"]["v"]
        self.position = message.get("commit", message.get("position", self.position))


def join(hub: Hub, client: Client, *names: str, number: int = 1, rows: Sequence[Row] = ()) -> None:
    """Take a client into channels (each its own pattern) and forget the answers."""
    for name in names:
        flight = hub.board(client.connection, number, name, name)
        assert flight is not None
        hub.land(flight, rows)
    client.heard()


def residue(hub: Hub) -> dict[str, Any]:
    """What the hub's dictionaries hold; interest is meant to outlive its connections."""
    names = ("live", "flights", "held", "members", "patterns", "population")
    return {name: each for name in names if (each := dict(getattr(hub, f"_{name}")))}


class ScriptedDoorkeeper(Doorkeeper):
    """Knows a few tokens; refuses channels that begin with "no"; waits where a gate is shut."""

    def __init__(self) -> None:
        self.guests: dict[str | None, Guest | Refused | Exception] = {None: Guest("anonymous")}
        self.asked: list[tuple[Any, str]] = []
        self.reviewed: list[Guest] = []
        self.changed: dict[str | None, Guest] = {}
        self.barred: set[tuple[Any, str]] = set()
        self.gates: dict[str, asyncio.Event] = {}

    async def identify(self, handshake: Handshake, token: str | None) -> Guest:
        await self._pass("identify")
        guest = self.guests.get(token, Refused(ErrorCode.BAD_TOKEN, "no", "a fix"))
        if isinstance(guest, Exception):
            raise guest
        return guest

    async def review(self, handshake: Handshake, guest: Guest) -> Guest:
        self.reviewed.append(guest)
        await self._pass("review")
        return self.changed.get(guest.id, guest)

    def find(self, channel: str) -> Place | None:
        """Those that begin with "open" are for anyone, "room" have no rows, "bare" no rule, "no" are not declared. In a "room"
        and a "lounge" are members, who may say something; in a "hall" they may, and are not shown."""
        if channel.startswith("no"):
            return None
        pattern = channel.partition("/")[0] + "/{x}"
        members = channel.startswith(("room", "lounge"))
        return Place(
            pattern,
            rows=not channel.startswith("room"),
            open=channel.startswith("open"),
            ruled=not channel.startswith("bare"),
            members=members,
            events=members or channel.startswith("hall"),
        )

    async def profile(self, user: Any, channel: str) -> str:
        """Just the name of the user, whatever that is."""
        await self._pass("profile")
        return json.dumps({"name": user})

    async def event(self, channel: str, name: str, data: str) -> str:
        """There is one event, a wave, whose data is told in capitals."""
        await self._pass("event")
        if name != "wave":
            raise Refused(ErrorCode.UNKNOWN_EVENT, "no such event", "a fix")
        return data.upper()

    def meant(self, name: str) -> Sequence[str]:
        """Names that begin with "alias" are others of the channels that they list."""
        return name.split("/")[1].split("-") if name.startswith("alias/") else (name,)

    async def admit(self, user: Any, channel: str) -> str:
        self.asked.append((user, channel))
        await self._pass(channel)
        if channel.startswith("no") or (user, channel) in self.barred:
            raise Refused(ErrorCode.FORBIDDEN, "not for you", "a fix")
        if channel.startswith("boom"):
            raise ZeroDivisionError
        return channel.partition("/")[0] + "/{x}"

    async def _pass(self, name: str) -> None:
        await asyncio.sleep(0)
        if name in self.gates:
            await self.gates[name].wait()


class ScriptedArchive(Archive):
    """Reads ``tables``; ``on_read`` is called between the call and the answer, a gate holds the answer back."""

    def __init__(self) -> None:
        self.tables: dict[str, Sequence[Row]] = {}
        self.reads: list[str] = []
        self.failures: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.on_read: Callable[[], None] | None = None

    async def rows(self, channel: str) -> Sequence[Row]:
        self.reads.append(channel)
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        rows = list(self.tables.get(channel, ()))
        if self.on_read is not None:
            self.on_read()
        if self.gate is not None:
            await self.gate.wait()
        return rows


class ScriptedBroker(Follower):
    """A log that is written by the test. ``faults`` are raised by the next calls of follow, ``head_faults`` of head."""

    def __init__(self, offset: int = 0) -> None:
        self.position = at(offset)
        self.entries: list[Entry] = []
        self.faults: list[Exception] = []
        self.head_faults: list[Exception] = []
        self.followed: list[Position] = []
        self._news = asyncio.Event()

    def add(self, *changes: Change, invalidated: Sequence[str] = (), origin: str | None = None) -> Entry:
        self.position = Position(self.position.epoch, self.position.offset + 1)
        self.entries.append(Entry(self.position, Commit(changes, frozenset(invalidated), origin)))
        self._news.set()
        return self.entries[-1]

    def fail(self, fault: Exception) -> None:
        """Break every follower's connection."""
        self.faults.append(fault)
        self._news.set()

    def enter(self, commit: Commit) -> Future[None]:
        self.add(*commit.changes, invalidated=[*commit.invalidated])
        done: Future[None] = Future()
        done.set_result(None)
        return done

    async def start(self) -> Position:
        return await self.head()

    async def head(self) -> Position:
        await asyncio.sleep(0)
        if self.head_faults:
            raise self.head_faults.pop(0)
        return self.position

    async def follow(self, after: Position) -> AsyncGenerator[Entry]:
        self.followed.append(after)
        if after.epoch != self.position.epoch or after.offset > self.position.offset:
            raise PositionGone(position=after)
        while True:
            self._news.clear()
            if self.faults:
                raise self.faults.pop(0)
            entries = [each for each in self.entries if each.position.offset > after.offset]
            for each in entries:
                yield each
                after = each.position
            if not entries:
                await self._news.wait()
