"""The oracle's world: an application that is killed and started again, clients behind a cable that breaks at any byte."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from sqla_realtime.commit import Position
from sqla_realtime.server.tokens import sign
from tests.convergence.app import TOKEN_KEY, engine_of
from tests.convergence.client import Client
from tests.convergence.listener import Listener
from tests.convergence.models import Ban, Base, MineOut, Note, Pair, PairOut, PublicOut, RoomOut
from tests.convergence.shown import Lie, Shown
from tests.support.processes import ROOT, free_ports

# How long the application may take for a command, and the clients for coming to rest.
PATIENCE, PEACE, TURN = 60.0, 15.0, 4.0


class Cable:
    """A TCP proxy. While ``dice`` is set, some connections break after so many bytes, in either direction."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.dice: random.Random | None = None
        self.cuts = 0

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        breaks = self.dice is not None and self.dice.random() < 0.5
        budget = [self.dice.randrange(1, 20_000) if self.dice is not None and breaks else 2**62]
        ways = (self._pipe(reader, far[1], budget), self._pipe(far[0], writer, budget))
        tasks = [asyncio.ensure_future(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, far[1]):
            end.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int]) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data[: budget[0]])
                await writer.drain()
                budget[0] -= len(data)
                if budget[0] <= 0:
                    self.cuts += 1
                    return


def spell(schema: type[BaseModel], rows: Iterable[object]) -> list[dict[str, Any]]:
    """Rows as a client would show them."""
    return [schema.model_validate(row, from_attributes=True).model_dump() for row in rows]


class World:
    """One application and its clients. ``url`` names its database, ``fault`` what is planted into it; ``watched``: triggers
    see what a Session that is not enabled writes."""

    def __init__(self, url: str, fault: str | None = None, broker: str = "memory", *, watched: bool = False) -> None:
        self.engine: Engine = engine_of(url)
        self._url, self._fault, self._broker, self._watched = url, fault, broker, watched
        [self._port] = free_ports(1)
        self.cable = Cable(self._port)
        # What the application has to complain of; a traceback is hardly ever right.
        self._complaints = deque[str](maxlen=2000)
        self.clients: list[Client | Listener] = []
        # Nothing happens to this one for now.
        self.spared: Client | Listener | None = None
        self._moved = asyncio.Event()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.counts = dict.fromkeys(("kills", "restarts", "transactions", "rounds"), 0)

    async def __aenter__(self) -> World:
        Base.metadata.create_all(self.engine)
        await self._start()
        port = await self.cable.open()
        for number, kind in enumerate(("websocket", "sse", "poll") * 2):
            user = ("ann", "bob")[number % 2]
            client = Client(f"{kind} {number}", user, port, self._token(user))
            client.kind = kind
            self.clients.append(client)
        self.clients += [Listener("eventsource 6", port, {"pairs", "public"}), Listener("eventsource 7", port, {"rooms/0"})]
        for each in self.clients:
            each.moved = self._moved.set
            self._tasks.append(asyncio.ensure_future(each.run()))
        return self

    async def __aexit__(self, *failure: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.cable.close()
        await self._end()
        self.engine.dispose()

    async def _start(self) -> None:
        arguments = ["-m", "tests.convergence.app", self._url, str(self._port), *([self._fault] if self._fault else [])]
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "REALTIME_BROKER": self._broker}
        if self._watched:
            environment["ORACLE_WATCHED"] = "1"
        self._app = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=Path(ROOT),
            env=environment,
        )
        self._ready = asyncio.get_running_loop().create_future()
        self._listening = asyncio.gather(self._listen(self._app), self._take_down(self._app))
        async with asyncio.timeout(PATIENCE):
            await self._ready

    async def _end(self) -> None:
        with suppress(ProcessLookupError):
            self._app.kill()
        await self._app.wait()
        await self._listening

    async def _listen(self, app: asyncio.subprocess.Process) -> None:
        """Hear answers, until the application ends; what it has not answered by then it never will."""
        assert app.stdout is not None
        while line := await app.stdout.readline():
            number, answer = json.loads(line)
            if number == 0:
                self._ready.set_result(None)
            elif number in self._asked:
                self._asked.pop(number).set_result(answer)
        for asked in self._asked.values():
            asked.cancel()
        self._asked.clear()

    async def _take_down(self, app: asyncio.subprocess.Process) -> None:
        assert app.stderr is not None
        while line := await app.stderr.readline():
            self._complaints.append(line.decode(errors="replace"))

    async def tell(self, do: str, **command: Any) -> Any:
        """Have the application do something, beside what it is doing already."""
        assert self._app.stdin is not None
        self._number += 1
        asked = self._asked[self._number] = asyncio.get_running_loop().create_future()
        self._app.stdin.write(json.dumps([self._number, do, command]).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            return await asked

    def _token(self, user: str) -> Any:
        def token(seconds: float) -> tuple[str, float]:
            return sign(TOKEN_KEY, "HS256", user, seconds, {}), time.time() + seconds

        return token

    async def write(self, seed: object, count: int, threads: int) -> None:
        """Transactions, in threads of the application."""
        counts = await self.tell("write", seed=seed, count=count, threads=threads)
        self.counts["transactions"] += sum(counts.values())

    async def kill(self) -> None:
        """In the middle of whatever it does; then start it again."""
        self._app.kill()
        await self._app.wait()
        await self._listening
        await self._start()
        self.counts["kills"] += 1

    async def restart(self) -> None:
        """The broadcaster alone, politely."""
        await self.tell("restart")
        self.counts["restarts"] += 1

    def _check_complaints(self) -> None:
        text = "".join(self._complaints)
        self._complaints.clear()
        # Two writers may be in each other's way; one of them is told so.
        if any("DeadlockDetected" not in each and "Deadlock found" not in each for each in text.split("Traceback")[1:]):
            raise Lie(f"the application has failed:\n{text[-4000:]}")

    async def settle(self) -> None:
        """Let everybody come to rest, and compare. Raises Lie."""
        self._check_complaints()
        self.cable.dice = None
        for client in self.clients:
            client.live_for(60)
            client.wake()
        self._truth()  # who is banned by now
        head = Position.parse(await self.tell("head"))
        assert head is not None
        try:
            async with asyncio.timeout(PEACE):
                while await self._retry() or not all(client.failure or client.is_at(head) for client in self.clients):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            late = [each.story() for each in self.clients if not each.is_at(head)]
            raise Lie(f"not at {head}: {'; '.join(late)}") from None
        self.counts["rounds"] += 1
        # Over long-poll a right that was lost shows at the next poll; whatever differs for longer is wrong.
        wrong = self._differs()
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN):
                while wrong is not None:
                    self._moved.clear()
                    await self._moved.wait()
                    wrong = self._differs()
        if wrong is not None:
            raise await self._explained(wrong)

    async def _explained(self, wrong: BaseException) -> BaseException:
        """With who else is wrong, and what the log says of the rows in question, where the application holds it."""
        if self._broker == "database":
            return wrong
        lines = []
        truth = self._truth()
        for client in self.clients:
            for channel in client.wanted:
                shown = {record["id"]: record for record in client.rows.get(channel, {}).values()}
                stored = {record["id"]: record for record in (truth[channel] if self._may_see(client, channel) else [])}
                ids = [str(key) for key in shown.keys() | stored.keys() if shown.get(key) != stored.get(key)]
                if ids:
                    told = await self.tell("log", channel=channel, ids=ids)
                    lines.append(
                        f"{client.name} in {channel} differs in {', '.join(ids)}; the log says\n  " + "\n  ".join(told)
                    )
        return Lie("\n".join([str(wrong), *lines])) if isinstance(wrong, Lie) else wrong

    def _differs(self) -> BaseException | None:
        """What some client shows that is not there, or does not show that is."""
        truth = self._truth()
        for client in self.clients:
            if client.failure is not None:
                return client.failure
            for channel in client.wanted:
                shown = sorted(client.rows.get(channel, {}).values(), key=lambda record: record["id"])
                stored = truth[channel] if self._may_see(client, channel) else []
                if shown != stored:
                    return Lie(f"{client.name} shows in {channel}\n  {shown}\nand there is\n  {stored}\n{client.story()}")
        return None

    async def _retry(self) -> bool:
        """Have clients ask again for what they may see by now: a refusal may have been under way when they were let in."""
        again = [(client, each) for client in self.clients for each in client.refused if self._may_see(client, each)]
        for client, channel in again:
            await client.want(channel)
        return bool(again)

    def _truth(self) -> dict[str, list[dict[str, Any]]]:
        with Session(self.engine) as session:
            notes = session.scalars(select(Note).order_by(Note.id)).all()
            pairs = session.scalars(select(Pair).order_by(Pair.id)).all()
            self._banned = set(session.scalars(select(Ban.owner)))
        return {
            **{f"rooms/{room}": spell(RoomOut, [note for note in notes if note.room == room]) for room in range(3)},
            **{f"mine/{owner}": spell(MineOut, [note for note in notes if note.owner == owner]) for owner in ("ann", "bob")},
            "public": spell(PublicOut, [note for note in notes if note.public]),
            "pairs": spell(PairOut, pairs),
        }

    def _may_see(self, client: Shown, channel: str) -> bool:
        kind, _, owner = channel.partition("/")
        return kind != "mine" or (owner == client.user and owner not in self._banned)
