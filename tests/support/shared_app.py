"""An application of several processes on one database: ``python -m tests.support.shared_app URL serve|write|die|many``.

It prints what it does, a line each. ``write TITLE`` commits a page; ``die TITLE`` is killed when the database has committed it,
before anything else can happen; ``many COUNT`` commits so many, each in its own transaction, and prints each.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone
from tests.support.models import Page, PageOut
from tests.support.scene import PAGES


def make(url: str, **settings: Any) -> tuple[Realtime, sessionmaker[Session], Engine]:
    """The application in one process."""
    engine = create_engine(url)
    sessions = sessionmaker(engine)
    realtime = Realtime(**{"broker": "database", "port": 0, "development": True, **settings})
    realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
    realtime.enable(sessions)
    return realtime, sessions, engine


def write(sessions: sessionmaker[Session], title: str) -> None:
    """Commit a page of the project."""
    with sessions.begin() as session:
        session.add(Page(project_id=int(PAGES.split("/")[1]), title=title))


def main(url: str, command: str, *arguments: str) -> None:
    realtime, sessions, engine = make(url)
    if command == "serve":
        realtime.start()
        print(f"port {realtime.port}", flush=True)
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
