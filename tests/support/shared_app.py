"""An application of several processes on one database: ``python -m tests.support.shared_app URL serve|write|die|many|fork``.

It prints what it does, a line each. ``write TITLE`` commits a page; ``die TITLE`` is killed when the database has committed it,
before anything else can happen; ``many COUNT`` commits so many, each in its own transaction, and prints each; ``fork TITLE``
serves, and when it is told to, has a thread fork a child that commits a page and stays.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone, signed_in
from tests.support.models import Base, Page, PageOut, Project
from tests.support.scene import PAGES


class Person(BaseModel):
    """What the members of a room see of each other."""

    id: str


class Typing(BaseModel):
    """What they say."""

    on: bool


def make(url: str, **settings: Any) -> tuple[Realtime, sessionmaker[Session], Engine]:
    """The application in one process."""
    engine = create_engine(url)
    sessions = sessionmaker(engine)
    realtime = Realtime(**{"broker": "database", "port": 0, "development": True, **settings})
    realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
    realtime.channel("rooms/{room}", presence=Person, events={"typing": Typing})(signed_in)
    realtime.enable(sessions)
    return realtime, sessions, engine


def prepare(engine: Engine) -> Engine:
    """Make what all of them need."""
    Base.metadata.create_all(engine)
    Realtime().metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Project(id=1))
    return engine


def write(sessions: sessionmaker[Session], title: str) -> None:
    """Commit a page of the project."""
    with sessions.begin() as session:
        session.add(Page(project_id=int(PAGES.split("/")[1]), title=title))


def fork(sessions: sessionmaker[Session], title: str) -> None:
    """In a child process, of which the parent knows no more than that it is there."""
    if os.fork() == 0:
        write(sessions, title)
        print(f"child {os.getpid()}", flush=True)
        signal.pause()


def main(url: str, command: str, *arguments: str) -> None:
    realtime, sessions, engine = make(url)
    if command == "serve":
        realtime.start()
        print(f"port {realtime.port}", flush=True)
        threading.Event().wait()
    elif command == "fork":
        told = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: told.set())
        realtime.start()
        print(f"port {realtime.port}", flush=True)
        told.wait()
        threading.Thread(target=fork, args=(sessions, arguments[0])).start()
        threading.Event().wait()
    elif command == "write":
        write(sessions, arguments[0])
    elif command == "die":
        commit = engine.dialect.do_commit

        def die(connection: Any) -> None:
            commit(connection)
            os.kill(os.getpid(), signal.SIGKILL)

        engine.dialect.do_commit = die  # type: ignore[method-assign]
        write(sessions, arguments[0])
    else:
        for number in range(int(arguments[0])):
            write(sessions, f"{os.getpid()}-{number}")
            print(f"written {number}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
