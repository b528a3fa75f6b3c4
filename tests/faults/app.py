"""The application of the fault run, one process of it: `python -m tests.faults.app URL serve PORT` or `... write SEED`.

A transaction changes two items and nothing else: each counts up by one, and both get the same stamp. So a reader knows a
commit that it missed, one that came twice or out of order, and one in part.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from typing import Any

from pydantic import BaseModel
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.errors import LogUnwritable

ITEMS = 12
CHANNEL = "items"
# One transaction in so many is the last of its process: it is killed between COMMIT and the next line of Python.
LETHAL = 150


class Base(DeclarativeBase):
    """The one table."""


class Item(Base):
    """Counts its transactions."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int]
    stamp: Mapped[int]


class ItemOut(BaseModel):
    """All of it."""

    id: int
    count: int
    stamp: int


def make(url: str, **settings: Any) -> tuple[Realtime, sessionmaker[Session]]:
    """The application in this process."""
    engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    sessions = sessionmaker(engine)
    realtime = Realtime(broker="database", development=True, **settings)
    realtime.publish(Item, schema=ItemOut, channel=CHANNEL, join=anyone)
    realtime.enable(sessions)
    return realtime, sessions


def serve(url: str, port: int) -> None:
    """Broadcast until killed."""
    realtime, _ = make(url, port=port, restart_window=0.2, ping_interval=2.0, log_timeout=1.0)
    while not realtime.running:
        try:
            realtime.start()
        except Exception as error:  # the database may be down: try again, as a supervisor would
            print(f"not yet: {error}", flush=True)
            time.sleep(0.2)
    print("serving", flush=True)
    threading.Event().wait()


def write(url: str, seed: int) -> None:
    """Commit at random until killed, perhaps by its own hand."""
    _, sessions = make(url)
    dice = random.Random(f"{seed}/{os.getpid()}")  # or it would die at the same moment each time
    dialect = sessions.kw["bind"].dialect
    commit, lethal = dialect.do_commit, [False]

    def do_commit(connection: Any) -> None:
        commit(connection)
        if lethal[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    dialect.do_commit = do_commit
    print("writing", flush=True)
    while True:
        lethal[0] = dice.randrange(LETHAL) == 0
        try:
            _transact(sessions, dice)
        except (DBAPIError, LogUnwritable):  # the database was away: the next transaction finds out whether it still is
            time.sleep(0.05)


def _transact(sessions: sessionmaker[Session], dice: random.Random) -> None:
    first, second = sorted(dice.sample(range(1, ITEMS + 1), 2))
    stamp = dice.getrandbits(31)
    with sessions() as session:
        for number in (first, second):
            if dice.random() < 0.2:
                with session.begin_nested() as savepoint:
                    session.get_one(Item, number).count += 100
                    session.flush()
                    savepoint.rollback()
            item = session.scalars(select(Item).where(Item.id == number).with_for_update()).one()
            item.count += 1
            item.stamp = stamp
            session.flush()
            if dice.random() < 0.1:
                session.execute(text("SELECT pg_sleep(0.01)"))
        if dice.random() < 0.1:
            session.rollback()
        else:
            session.commit()


if __name__ == "__main__":
    {"serve": serve, "write": write}[sys.argv[2]](sys.argv[1], int(sys.argv[3]))
