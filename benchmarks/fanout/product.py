"""The product whole as a server of the bench: product.py CHANNELS direct|orm, and options.

A Realtime with its memory broker; the publisher is a thread of the same process, as an application's is. ``direct`` hands
ready commits to the broker, so that what is measured is the way from there to the sockets; ``orm`` commits on SQLite
through a Session, so that capture is in it too. ``--spin`` adds an application that computes without end, as a thread
beside the broadcaster's or as a process of its own on the same core. ``--dialects`` lets Pusher's and Juggernaut's clients
in as well. A request for no message at all is answered with what was counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import create_engine, event, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Change, Commit

# With a text of so many bytes the whole frame is about as long as the peers' 250.
TEXT = 72
REQUEST = struct.Struct("QQ")
PUSHER: dict[str, Any] = {"pusher": [{"key": "bench", "secret": "a secret of the benchmark's own", "id": "1"}]}
Publish = Callable[[int, int], None]


class Base(DeclarativeBase):
    """The one table."""


class Room(Base):
    """One row for each channel."""

    __tablename__ = "room"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str]
    text: Mapped[str]


class RoomOut(BaseModel):
    """All of it."""

    id: int
    at: str
    text: str


class Selects:
    """How many SELECTs an engine has run."""

    def __init__(self, engine: object) -> None:
        self.count = 0
        event.listen(engine, "before_cursor_execute", self._execute)

    def _execute(self, *call: object) -> None:
        self.count += str(call[2]).lstrip().upper().startswith("SELECT")


def spin(turns: Any) -> None:
    """An application that computes without end, and counts its turns."""
    while True:
        sum(number * number for number in range(1000))
        turns.value += 1


def direct(broker: Broker, channels: int, text: str, changes: int) -> Publish:
    """Hands over ready commits. The last is finished first, so that all of a burst enter the log at one moment."""
    published = 0

    def commit(stamp: int) -> Commit:
        nonlocal published
        number = published % channels
        published += 1
        record = b'{"id":%d,"at":"@%020d","text":"%s"}' % (number, stamp, text.encode())
        return Commit((Change(f"rooms/{number}", "update", "Room", str(number), record, ("at",)),) * changes)

    def publish(burst: int, stamp: int) -> None:
        tickets = [broker.begin(commit(stamp)) for _ in range(burst)]
        for ticket in reversed(tickets):
            ticket.finish(True)

    return publish


def orm(sessions: sessionmaker[Session], channels: int, text: str) -> Publish:
    """Commits through a Session, one after another."""
    published = 0

    def publish(burst: int, stamp: int) -> None:
        nonlocal published
        for _ in range(burst):
            with sessions() as session:
                room = session.get_one(Room, published % channels)
                # Two commits of one moment must differ, or the second changes nothing.
                room.at, room.text = f"@{stamp:020}", f"{text[:-9]}{published:09}"
                session.commit()
            published += 1

    return publish


def serve(peer: socket.socket, publish: Publish, count: Callable[[], dict[str, float]]) -> None:
    """One control connection, until it ends."""
    while data := peer.recv(REQUEST.size * 256):
        while len(data) % REQUEST.size:
            data += peer.recv(REQUEST.size - len(data) % REQUEST.size)
        for burst, stamp in REQUEST.iter_unpack(data):
            if burst:
                publish(burst, stamp)
            else:
                peer.sendall(json.dumps(count()).encode() + b"\n")


def database(folder: str, channels: int) -> Any:
    """An engine on a database with a row for each channel."""
    engine = create_engine(f"sqlite:///{Path(folder) / 'bench.db'}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Room), [{"id": number, "at": "", "text": ""} for number in range(channels)])
    return engine


def main(options: argparse.Namespace, folder: str) -> None:
    """Serve until the parent kills this process."""
    turns = RawValue("Q", 0)
    if options.spin == "process":
        multiprocessing.Process(target=spin, args=(turns,), daemon=True).start()
    if options.interval:
        sys.setswitchinterval(options.interval)
    engine = database(folder, options.channels)
    sessions = sessionmaker(engine)
    realtime = Realtime(port=0, **(PUSHER if options.dialects else {}))
    alias = "/rooms/{id}" if options.dialects else None
    realtime.publish(Room, schema=RoomOut, channel="rooms/{id}", join=anyone, alias=alias)
    realtime.enable(sessions)
    realtime.start()
    text = "x" * options.text
    if options.way == "direct":
        publish = direct(realtime._broker, options.channels, text, options.changes)
    else:
        publish = orm(sessions, options.channels, text)
    selects = Selects(engine)

    def count() -> dict[str, float]:
        return {"selects": selects.count, "turns": turns.value, "clock": time.monotonic()}

    if options.spin == "thread":
        threading.Thread(target=spin, args=(turns,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = {"port": realtime.port, "control": server.getsockname()[1], "pids": [os.getpid()]}
        print(json.dumps(started), flush=True)
        while True:
            threading.Thread(target=serve, args=(server.accept()[0], publish, count), daemon=True).start()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("channels", type=int)
    parser.add_argument("way", choices=("direct", "orm"))
    parser.add_argument("--spin", choices=("thread", "process"))
    parser.add_argument("--text", type=int, default=TEXT, help="bytes of a record's text")
    parser.add_argument("--changes", type=int, default=1, help="of a commit, where it is direct")
    parser.add_argument("--dialects", action="store_true", help="serve Pusher's and Juggernaut's clients too")
    parser.add_argument("--interval", type=float, help="for sys.setswitchinterval()")
    with tempfile.TemporaryDirectory() as folder:
        main(parser.parse_args(), folder)
