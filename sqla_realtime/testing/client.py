"""The RealtimeClient: speaks sqla-realtime.v1 to a hub of its own, with the server's rules and snapshots, in the test's thread.

Its loop runs while one of its methods does, and by then everything that was committed before is there: no test waits
for a socket or another thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection as DatabaseConnection

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.errors import BadSetting
from sqla_realtime.hub.connection import several
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.realtime import Realtime
from sqla_realtime.testing.attending import Attending, Message
from sqla_realtime.testing.house import QuietHouse
from sqla_realtime.testing.recorder import EVERYTHING

T = TypeVar("T")
REPLIES = ("hello", "subscribed", "unsubscribed", "members", "departed", "taken", "error")


class Refusal(Exception):
    """The server said no: ``code`` and ``fix`` as PROTOCOL.md has them, ``channel`` where it is about one."""

    def __init__(self, answer: Message) -> None:
        self.code: str = answer["code"]
        self.fix: str | None = answer.get("fix")
        self.channel: str | None = answer.get("channel")
        about = "" if self.channel is None else f"{self.channel}: "
        super().__init__(about + "\n".join(filter(None, (answer["message"], self.fix))) + f" [{self.code}]")


class RealtimeClient(Attending):
    """One browser, as far as the application can tell.

    ``user`` is what rules are asked with, as your ``identify`` would return it; its id is its attribute ``id``, or itself
    where it is a text or a number. Or let ``identify`` do so, with a
    ``token`` from ``realtime.token()`` or the ``headers`` of a request with a session cookie. ``connection`` is the one
    whose outer transaction the test rolls back: what is committed inside counts, and rows are read there. ``timeout``
    is how many seconds a method may wait. Raises Refusal for a token that does not hold, and BadSetting.
    """

    def __init__(
        self,
        realtime: Realtime,
        user: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        connection: DatabaseConnection | None = None,
        timeout: float = 5.0,
    ) -> None:
        if not isinstance(connection, DatabaseConnection | None):
            raise BadSetting(
                name="connection",
                source="RealtimeClient()",
                reason=f"rows can't be read on {connection!r}",
                remedy="It is a SQLAlchemy Connection, none of asyncio's; a Recorder works there too.",
            )
        super().__init__()
        self.timeout = timeout
        self.log: list[Message] = []
        self._hooks = realtime._hooks
        self._broker = MemoryBroker(EVERYTHING, realtime.settings.commit_patience)
        self._rows: dict[str, dict[tuple[str, str], Message]] = {}
        self._commits: list[list[Message]] = []
        self._replies: dict[int | None, Message] = {}
        self._reloads: set[int] = set()
        self._number = 0
        self._heard = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._hooks.tap(self._broker, savepoints=connection is not None)
        self._house = QuietHouse(realtime, self._broker, user, connection)
        try:
            self._run(self._open(headers or {}, token))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave. Doing so twice changes nothing."""
        self._hooks.untap(self._broker)
        if not self._loop.is_closed():
            self._run(self._end())
            self._loop.close()

    def subscribe(self, channel: str) -> list[Message]:
        """Join a channel; its rows, as the records that a browser is sent. Raises Refusal."""
        self._run(self._ask(self._subscription(channel)))
        return self.rows(channel)

    def unsubscribe(self, channel: str) -> None:
        """Leave a channel."""
        self._run(self._ask({"type": "unsubscribe", "id": self._next(), "channels": [channel]}))
        self._rows.pop(channel, None)

    def rows(self, channel: str) -> list[Message]:
        """The records of a channel after everything that has been committed. Raises LookupError where it is not joined."""
        self._run(self._settle())
        if channel not in self._rows:
            raise LookupError(f"This client is not in {channel}: subscribe({channel!r}) comes first, and may be refused.")
        return list(self._rows[channel].values())

    def commits(self) -> list[list[Message]]:
        """What has come since the last look and is not taken yet: the changes of each commit, as they are on the wire."""
        self._run(self._settle())
        taken, self._commits = self._commits, []
        return taken

    def next_commit(self, timeout: float | None = None) -> list[Message]:
        """The changes of the next commit that is not taken yet; waits for one. An AssertionError where none comes."""
        __tracebackhide__ = True
        self._run(self._settle())
        try:
            self._run(self._until(lambda: bool(self._commits)), timeout)
        except TimeoutError:
            heard = "".join(f"\n  {json.dumps(message)}" for message in self.log)
            raise AssertionError(f"No commit has come for {', '.join(self._rows) or 'no channel'}. Heard:{heard}") from None
        return self._commits.pop(0)

    async def _open(self, headers: Mapping[str, str], token: str | None) -> None:
        handshake = Handshake({name.lower(): value for name, value in headers.items()})
        self._conversation = await self._house.open(handshake, self._hear)
        await self._ask({"type": "hello"} | ({} if token is None else {"token": token}))

    async def _end(self) -> None:
        self._conversation.end()
        await self._house.close()

    def _run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """The result of ``work``, for which the loop runs; TimeoutError where it takes too long."""

        async def bounded() -> T:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await work

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._loop.run_until_complete(bounded())
        # The test is a coroutine, and one thread runs one loop at a time.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(contextvars.copy_context().run, self._loop.run_until_complete, bounded()).result()

    async def _ask(self, question: Message) -> Message:
        number = question.get("id")
        self._conversation.receive(json.dumps(question))
        await self._until(lambda: number in self._replies)
        reply = self._replies.pop(number)
        if reply["type"] == "error":
            raise Refusal(reply)
        return reply

    async def _settle(self) -> None:
        """Hear everything that was committed until now, and reload what it put in doubt."""
        await self._house.settle()
        await self._until(lambda: not self._reloads)

    async def _until(self, met: Callable[[], bool]) -> None:
        while not met():
            if self._conversation.connection.close_code is not None:
                reason = self._conversation.connection.close_code.reason
                raise Refusal({"code": reason, "message": "The server has closed this connection."})
            self._heard.clear()
            await self._heard.wait()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _subscription(self, channel: str) -> Message:
        return {"type": "subscribe", "id": self._next(), "channels": [channel]}

    def _hear(self) -> None:
        for data in several(self._conversation.connection.drain()):
            self._conversation.connection.flushed(len(data))
            message = json.loads(data)
            self.log.append(message)
            self._apply(message)
        self._heard.set()

    def _apply(self, message: Message) -> None:
        """What PROTOCOL.md has a client do with a message."""
        self._mind(message)
        if "commit" in message:
            self._commits.append(message["changes"])
            for change in message["changes"]:
                rows, key = self._rows[change["channel"]], (change["class"], change["id"])
                if change["type"] == "destroy":
                    rows.pop(key, None)
                else:
                    rows[key] = change["record"]
            return
        if message["type"] == "subscribed":
            for item in message["channels"]:
                self._rows[item["channel"]] = {(row["class"], row["id"]): row["record"] for row in item["rows"]}
        elif message["type"] == "error":
            self._rows.pop(message.get("channel", ""), None)
        elif message["type"] == "needs_auth":
            self._rows.clear()  # it is in no channel any more
        elif message["type"] == "reset":
            for channel in message["channels"]:
                question = self._subscription(channel)
                self._reloads.add(question["id"])
                self._conversation.receive(json.dumps(question))
        if message.get("id") in self._reloads:
            self._reloads.discard(message["id"])
        elif message["type"] in REPLIES and ("id" in message or message["type"] != "members"):
            self._replies[message.get("id")] = message
