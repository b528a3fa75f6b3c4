"""The product whole as a server of the bench: product.py CHANNELS direct|orm.

A Realtime with its memory broker; the publisher is a thread of the same process, as an application's is. ``direct`` hands
ready commits to the broker, so that what is measured is the way from there to the sockets; ``orm`` commits on SQLite
through a Session, so that capture is in it too. A request for no message at all is answered with what was counted.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import create_engine, event, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Change, Commit

# The whole frame is then about as long as the peers' 250 bytes.
TEXT = "x" * 72
REQUEST = struct.Struct("QQ")
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


def direct(broker: Broker, channels: int) -> Publish:
    """Hands over ready commits. The last is finished first, so that all of a burst enter the log at one moment."""
    published = 0

    def commit(stamp: int) -> Commit:
        nonlocal published
        number = published % channels
        published += 1
        record = b'{"id":%d,"at":"@%020d","text":"%s"}' % (number, stamp, TEXT.encode())
        return Commit((Change(f"rooms/{number}", "update", "Room", str(number), record, ("at",)),))

    def publish(burst: int, stamp: int) -> None:
        tickets = [broker.begin(commit(stamp)) for _ in range(burst)]
        for ticket in reversed(tickets):
            ticket.finish(True)

    return publish


def orm(sessions: sessionmaker[Session], channels: int) -> Publish:
    """Commits through a Session, one after another."""
    published = 0

    def publish(burst: int, stamp: int) -> None:
        nonlocal published
        for _ in range(burst):
            with sessions() as session:
                room = session.get_one(Room, published % channels)
                # Two commits of one moment must differ, or the second changes nothing.
                room.at, room.text = f"@{stamp:020}", f"{TEXT[:-9]}{published:09}"
                session.commit()
            published += 1

    return publish


def serve(peer: socket.socket, publish: Publish, selects: Selects) -> None:
    """One control connection, until it ends; the generator's own ends the process."""
    while data := peer.recv(REQUEST.size * 256):
        while len(data) % REQUEST.size:
            data += peer.recv(REQUEST.size - len(data) % REQUEST.size)
        for burst, stamp in REQUEST.iter_unpack(data):
            if burst:
                publish(burst, stamp)
            else:
                peer.sendall(json.dumps({"selects": selects.count}).encode() + b"\n")


def main(channels: int, way: str) -> None:
    """Serve until the parent kills this process."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'bench.db'}")
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(Room), [{"id": number, "at": "", "text": ""} for number in range(channels)])
        sessions = sessionmaker(engine)
        realtime = Realtime(port=0)
        realtime.publish(Room, schema=RoomOut, channel="rooms/{id}", join=anyone)
        realtime.enable(sessions)
        realtime.start()
        publish = direct(realtime._broker, channels) if way == "direct" else orm(sessions, channels)
        selects = Selects(engine)
        with socket.create_server(("127.0.0.1", 0)) as server:
            started = {"port": realtime.port, "control": server.getsockname()[1], "pids": [os.getpid()]}
            print(json.dumps(started), flush=True)
            while True:
                threading.Thread(target=serve, args=(server.accept()[0], publish, selects), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
