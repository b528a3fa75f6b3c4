"""Capture without a server: what an application's commits put into the log, as short lines that tests can compare."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.capture.hooks import Hooks
from sqla_realtime.capture.targets import resolve
from sqla_realtime.commit import Change, Commit, Position
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Reader
from sqla_realtime.schema.registry import Registry
from tests.support.models import Page, PageOut

CHANNEL = "projects/{project_id}/pages"


class Capture:
    """Publications on one engine, their hooks and their log. ``wanted`` decides which patterns have readers."""

    def __init__(
        self,
        engine: Engine,
        *publications: Publication,
        target: Any = None,
        statement_rows: int = 1000,
        transaction_rows: int = 100_000,
        **session: Any,
    ) -> None:
        self.engine = engine
        self.broker = MemoryBroker()
        self.registry = Registry()
        self.wanted: Callable[[str], bool] = lambda pattern: True
        rows = {"statement_rows": statement_rows, "transaction_rows": transaction_rows}
        self.hooks = Hooks(self.registry, self.broker, lambda pattern: self.wanted(pattern), **rows)
        for publication in publications or (Publication(Page, PageOut, CHANNEL),):
            self.registry.publish(publication)
            self.hooks.watch(publication)
        self.sessions: sessionmaker[Session] = sessionmaker(engine, **session)
        self.hooks.enable(resolve(target if target is not None else self.sessions))
        self._seen = self.position()

    def position(self) -> Position:
        """Where the log ends."""
        return asyncio.run(self.broker.head())

    def commits(self) -> list[Commit]:
        """The commits since the last call."""

        async def read() -> list[Commit]:
            head = await self.broker.head()
            found: list[Commit] = []
            entries = self.broker.follow(self._seen)
            while self._seen != head:
                entry = await anext(entries)
                found.append(entry.commit)
                self._seen = entry.position
            await entries.aclose()
            return found

        return asyncio.run(read())

    def told(self) -> list[list[str]]:
        """The same as lines: "create projects/5/pages Page 1 {...}", one list per commit."""
        return [
            [*map(line, commit.changes), *(f"invalidate {name}" for name in sorted(commit.invalidated))]
            for commit in self.commits()
        ]

    def silent(self) -> bool:
        """Whether the log has nothing new, not even a place in line that is still open."""
        return not self.commits() and not self.broker._line


def line(change: Change) -> str:
    """One change in the words of the protocol; the record as compact JSON."""
    parts = [change.type, change.channel, change.cls, change.id]
    if change.cause:
        parts.append(f"({change.cause})")
    if change.changed:
        parts.append("+" + ",".join(change.changed))
    if change.record is not None:
        parts.append(json.dumps(json.loads(change.record), separators=(",", ":")))
    return " ".join(parts)


def stored(engine: Engine, entity: Any) -> list[Any]:
    """The rows as another connection sees them."""
    with Session(engine) as session:
        return list(session.scalars(select(entity)))


def truth(engine: Engine, publication: Publication) -> list[Any]:
    """The records of all rows, as a snapshot has them."""
    with engine.connect() as connection:
        images = Reader(publication.mapper, [publication]).where(connection, publication, {}, 1000)
        return [json.loads(publication.recorder.dump(image.source)) for image in images]


def records(capture: Capture) -> list[Any]:
    """The records of the changes since the last look; nothing may be in doubt."""
    commits = capture.commits()
    assert not any(commit.invalidated for commit in commits)
    return [json.loads(each.record) for commit in commits for each in commit.changes if each.record is not None]


@contextmanager
def reads(engine: Engine, table: str) -> Iterator[list[str]]:
    """The SELECTs of one table that are sent meanwhile."""
    found: list[str] = []

    def listen(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if re.match(rf"SELECT .*FROM {table}\b", statement, re.DOTALL):
            found.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", listen)
