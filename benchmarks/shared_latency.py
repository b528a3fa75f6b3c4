"""Commit to a browser's socket through a log in PostgreSQL: a writer, a broadcaster and a client, each a process of its own.

PostgreSQL's fsync takes about 1 ms, as in database_log.py. Fifty commits a second; in every other run a transaction stays open
that has written, which must change nothing. Milliseconds from the call of ``session.commit()`` to the client's process, medians
over RUNS runs of each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import latency
from database_log import RUNS, server
from latency import Base, Page, PageOut, browser, row, spans
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone

COMMITS, PAUSE = 200, 0.02


def application(url: str) -> tuple[Realtime, sessionmaker[Session]]:
    """What each process has of it."""
    sessions = sessionmaker(create_engine(url))
    realtime = Realtime(broker="database", port=0, development=True)
    realtime.publish(Page, schema=PageOut, channel="pages", join=anyone)
    realtime.enable(sessions)
    return realtime, sessions


def broadcaster(url: str, pipe: Connection) -> None:
    """Serves until the pipe is closed."""
    realtime, _ = application(url)
    realtime.start()
    pipe.send(realtime.port)
    pipe.poll(None)
    realtime.stop()


def client(port: int, pipe: Connection) -> None:
    """The browser of latency.py, with fewer commits."""
    latency.COMMITS = COMMITS
    browser(port, pipe)


def measure(sessions: sessionmaker[Session], port: int) -> list[float]:
    """One run."""
    ours, theirs = multiprocessing.Pipe()
    peer = multiprocessing.Process(target=client, args=(port, theirs))
    peer.start()
    ours.recv()
    called = {}
    for _ in range(COMMITS):
        with sessions() as session:
            session.add(page := Page(title="x" * 100))
            session.flush()
            called[page.id] = time.monotonic_ns()
            session.commit()
        time.sleep(PAUSE)  # the pace: each commit is measured alone
    arrived = ours.recv()
    peer.join()
    return spans(called, arrived)


def main(folder: Path, runs: int) -> None:
    multiprocessing.set_start_method("spawn")
    found: dict[str, list[list[float]]] = {"nothing else is open": [], "a long transaction is open": []}
    with server(folder) as (url, _):
        realtime, sessions = application(url)
        Base.metadata.create_all(realtime.engine)
        realtime.migrate()
        ours, theirs = multiprocessing.Pipe()
        serving = multiprocessing.Process(target=broadcaster, args=(url, theirs))
        serving.start()
        port = ours.recv()
        for _ in range(runs):
            for name, times in found.items():
                with sessions() as session:
                    session.execute(text("DELETE FROM page"))
                    session.commit()
                with realtime.engine.connect() as long:
                    if name.startswith("a long"):
                        long.execute(text("SELECT pg_current_xact_id()"))
                    times.append(measure(sessions, port))
                    long.rollback()
        ours.close()
        serving.join(10)
        realtime.engine.dispose()
    print(f"{runs} runs of {COMMITS} commits, 50 a second, one client on the loopback, PostgreSQL; milliseconds")
    print(f"{'commit() called to client, where':<34}{'p50':>9}{'p99':>9}   p50 of the runs")
    for name, times in found.items():
        print(row(name, times))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="realtime-log-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)  # the server may run as another user
        main(Path(made), given.runs)
