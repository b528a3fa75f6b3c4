"""An application that foreign clients know, in one of several processes: ``python -m tests.support.foreign_app URL PORT``.

It serves, and prints its port and what the library says of the requests that it hands over to another process.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone
from tests.support.models import Base, Page, PageOut, Project

APP = {"key": "app-key", "secret": "a secret of the application", "id": "1"}


def make(url: str, **settings: Any) -> tuple[Realtime, sessionmaker[Session], Engine]:
    """The application in one process."""
    engine = create_engine(url)
    sessions = sessionmaker(engine)
    realtime = Realtime(broker="database", development=True, pusher=[APP], **settings)
    realtime.publish(Page, schema=PageOut, channel="pages", join=anyone, alias="/observer")
    realtime.enable(sessions)
    return realtime, sessions, engine


def prepare(engine: Engine) -> None:
    """Make what all of them need."""
    Base.metadata.create_all(engine)
    Realtime().metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Project(id=1))


def main(url: str, port: str) -> None:
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("sqla_realtime.transports.gated").setLevel(logging.DEBUG)
    realtime, _, _ = make(url, port=int(port))
    realtime.start()
    print(f"port {realtime.port}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
