"""Commit to a browser's socket: one writer, one client on the loopback, each on a core of its own; beside a bare socket.

Prints milliseconds from the moment at which ``session.commit()`` is called, and from the moment at which it returns, to
the moment at which the client's process has the message; and the same for a message that a thread writes straight into a
TCP socket, which is the floor. Medians over RUNS runs of each, in turn.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from websockets.sync.client import connect

from sqla_realtime import Realtime, anyone

# Seconds between two commits: each is measured alone, with no queue before it.
RUNS, COMMITS, PAUSE = 5, 500, 0.002


class Base(DeclarativeBase):
    """The one table."""


class Page(Base):
    """A small row."""

    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class PageOut(BaseModel):
    """All of it."""

    id: int
    title: str


def pin(core: int) -> None:
    """Keep this process on one core, where the system can do so and has it."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > core:
        os.sched_setaffinity(0, {cores[core]})


def browser(port: int, pipe: Connection) -> None:
    """The client's process: sends back when it had each row."""
    pin(1)
    with connect(f"ws://127.0.0.1:{port}/realtime/ws", subprotocols=["sqla-realtime.v1"]) as peer:  # type: ignore[list-item]
        peer.send('{"type": "hello"}')
        peer.recv()
        peer.send('{"type": "subscribe", "id": 1, "channels": ["pages"]}')
        peer.recv()
        pipe.send(None)
        arrived = {}
        while len(arrived) < COMMITS:
            message = json.loads(peer.recv())
            now = time.monotonic_ns()
            for change in message.get("changes", ()):
                arrived[int(change["id"])] = now
        pipe.send(arrived)


def plain(port: int, pipe: Connection) -> None:
    """The floor's client: reads frames of a fixed size."""
    pin(1)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        pipe.send(None)
        arrived = {}
        for _ in range(COMMITS):
            number = int(peer.recv(200, socket.MSG_WAITALL)[:10])
            arrived[number] = time.monotonic_ns()
        pipe.send(arrived)


def measure_product(sessions: sessionmaker[Session], port: int) -> tuple[list[float], list[float]]:
    """One run through the product: milliseconds from the call of commit(), and from its return."""
    ours, theirs = multiprocessing.Pipe()
    client = multiprocessing.Process(target=browser, args=(port, theirs))
    client.start()
    ours.recv()
    called, returned = {}, {}
    for _ in range(COMMITS):
        with sessions() as session:
            session.add(page := Page(title="x" * 100))
            session.flush()
            number = page.id
            called[number] = time.monotonic_ns()
            session.commit()
            returned[number] = time.monotonic_ns()
        time.sleep(PAUSE)
    arrived = ours.recv()
    client.join()
    return spans(called, arrived), spans(returned, arrived)


def measure_floor() -> list[float]:
    """One run of a thread that writes to a socket: milliseconds from just before the write."""
    ours, theirs = multiprocessing.Pipe()
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = multiprocessing.Process(target=plain, args=(server.getsockname()[1], theirs))
        client.start()
        peer, _ = server.accept()
        ours.recv()
        sent = {}
        with peer:
            for number in range(COMMITS):
                sent[number] = time.monotonic_ns()
                peer.sendall(f"{number:<200}".encode())
                time.sleep(PAUSE)
        arrived = ours.recv()
        client.join()
    return spans(sent, arrived)


def spans(start: dict[int, int], end: dict[int, int]) -> list[float]:
    """Milliseconds of each, sorted."""
    return sorted((end[number] - start[number]) / 1e6 for number in start)


def row(name: str, runs: Sequence[list[float]]) -> str:
    """Medians over the runs of p50 and p99, and how far the p50s lie apart."""
    p50 = [run[len(run) // 2] for run in runs]
    p99 = [run[len(run) * 99 // 100] for run in runs]
    spread = f"{min(p50):.3f} to {max(p50):.3f}"
    return f"{name:<34}{statistics.median(p50):>9.3f}{statistics.median(p99):>9.3f}   {spread}"


def main() -> None:
    """Run and print."""
    multiprocessing.set_start_method("spawn")
    pin(0)
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'bench.db'}")
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
        Base.metadata.create_all(engine)
        sessions = sessionmaker(engine)
        realtime = Realtime(port=0)
        realtime.publish(Page, schema=PageOut, channel="pages", join=anyone)
        realtime.enable(sessions)
        realtime.start()
        products, floors = [], []
        for _ in range(RUNS):
            with sessions.begin() as session:
                session.query(Page).delete()
            floors.append(measure_floor())
            products.append(measure_product(sessions, realtime.port))
        realtime.stop()
        engine.dispose()
    print(f"{RUNS} runs of {COMMITS} commits, one client on the loopback, SQLite (WAL); milliseconds")
    print(f"{'':<34}{'p50':>9}{'p99':>9}   p50 of the runs")
    print(row("commit() called to client", [called for called, _ in products]))
    print(row("commit() returned to client", [returned for _, returned in products]))
    print(row("floor: one send on a TCP socket", floors))


if __name__ == "__main__":
    main()
