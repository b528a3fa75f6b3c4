"""The two usual ways to run a test in a transaction that is always rolled back, and an application to test that way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone, signed_in
from tests.support.models import Page, PageOut, Project

PAGES = "projects/5/pages"


class Shop:
    """Pages of projects for anyone, of members for who signs in; projects 5 and 6, page 1 in 5."""

    def __init__(self, engine: Engine, **settings: Any) -> None:
        self.engine = engine
        self.sessions: sessionmaker[Session] = sessionmaker(engine)
        self.realtime = Realtime(port=0, **settings)
        self.realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
        self.realtime.publish(Page, schema=PageOut, channel="members/{project_id}", join=signed_in, name="MemberPage")
        self.realtime.enable(self.sessions)
        with self.sessions.begin() as session:
            session.add_all([Project(id=5), Project(id=6), Page(id=1, project_id=5, title="first")])


Recipe = Callable[[Shop], Any]


@contextmanager
def create_savepoint(shop: Shop) -> Iterator[tuple[Connection, Session]]:
    """SQLAlchemy 2.0's own recipe."""
    with shop.engine.connect() as connection:
        transaction = connection.begin()
        session = shop.sessions(bind=connection, join_transaction_mode="create_savepoint")
        yield connection, session
        session.close()
        transaction.rollback()


@contextmanager
def after_transaction_end(shop: Shop) -> Iterator[tuple[Connection, Session]]:
    """The recipe of 1.4, which many projects still have."""
    with shop.engine.connect() as connection:
        transaction = connection.begin()
        session = shop.sessions(bind=connection)
        nested = connection.begin_nested()

        @event.listens_for(session, "after_transaction_end")
        def restart(session: Session, ended: object) -> None:
            nonlocal nested
            if not nested.is_active:
                nested = connection.begin_nested()

        yield connection, session
        session.close()
        transaction.rollback()
