"""What triggers on a watched table cost whoever writes it: PostgreSQL whose fsync takes about 1 ms, as in database_log.py.

pgbench changes one row in each transaction, from 1 and 16 connections: without a log, with the row that the ORM adds to its
transaction, and with the triggers. Then single statements of 10,000 rows, without and with them. Medians of RUNS runs, in turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from database_log import INSERT, RUNS, SECONDS, UPDATE, pgbench, prepare, server
from sqlalchemy import Engine, create_engine, text

from sqla_realtime.brokers.triggers import Watched, attach, detach

CLIENTS = (1, 16)
# What each way of writing adds to the transaction, and whether the table is watched meanwhile.
WAYS = {"no log": ("", False), "as the ORM": (INSERT, False), "triggers": ("", True)}
BULK = {
    "INSERT": "INSERT INTO item SELECT n, 0 FROM generate_series(100001, 110000) AS n",
    "UPDATE": "UPDATE item SET v = v + 1 WHERE id > 100000",
    "DELETE": "DELETE FROM item WHERE id > 100000",
}


def switch(engine: Engine, on: bool) -> None:
    """Watch the table, or not."""
    with engine.begin() as connection:
        for statement in attach(Watched("item")) if on else detach(Watched("item")):
            connection.execute(text(statement))


def single(programs: Path, engine: Engine, folder: Path, runs: int) -> None:
    """Transactions of one row."""
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(runs):
        for clients in CLIENTS:
            for name, (more, watched) in WAYS.items():
                switch(engine, watched)
                (folder / "script").write_text(UPDATE + more + "COMMIT;\n")
                found.setdefault((name, clients), []).append(pgbench(programs, engine, folder / "script", clients, SECONDS))
    print(f"\n{'commits/s from connections':<28}" + "".join(f"{clients:>18}" for clients in CLIENTS))
    for name in WAYS:
        cells = []
        for clients in CLIENTS:
            pairs = zip(found[name, clients], found["no log", clients], strict=True)
            ratio = statistics.median(rate / plain for rate, plain in pairs)
            cells.append(f"{statistics.median(found[name, clients]):>10,.0f} x{ratio:>5.2f} ")
        print(f"{name:<28}" + "".join(cells))


def bulk(engine: Engine, runs: int) -> None:
    """Statements of many rows."""
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(runs):
        for watched in (False, True):
            switch(engine, watched)
            for name, statement in BULK.items():
                began = time.perf_counter()
                with engine.begin() as connection:
                    connection.execute(text(statement))
                found.setdefault((name, watched), []).append((time.perf_counter() - began) * 1000)
    print(f"\n{'10,000 rows, ms':<28}{'plain':>10}{'watched':>10}{'us a row':>10}")
    for name in BULK:
        plain, watched = (statistics.median(found[name, each]) for each in (False, True))
        print(f"{name:<28}{plain:>10.1f}{watched:>10.1f}{(watched - plain) / 10:>10.1f}")


def main(folder: Path, runs: int) -> None:
    with server(folder) as (url, programs):
        engine: Any = create_engine(url)
        prepare(engine)
        single(programs, engine, folder, runs)
        bulk(engine, runs)
        engine.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="realtime-log-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)  # the server may run as another user
        main(Path(made), given.runs)
