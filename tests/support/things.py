"""A model of plain columns alone, whose new rows need not be read, and what its commits looked like."""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, String, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture


class Base(DeclarativeBase):
    """Apart from the models of other tests: tables are made by hand where they are to be odd."""


class Thing(Base):
    """A row of ``shelves/{shelf}``."""

    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf: Mapped[int]
    name: Mapped[str] = mapped_column(String(8))
    score: Mapped[float | None]
    at: Mapped[datetime.datetime | None]
    done: Mapped[bool | None]


class ThingOut(BaseModel):
    """All of it."""

    id: int
    shelf: int
    name: str
    score: float | None
    at: datetime.datetime | None
    done: bool | None


CHANNEL = "shelves/{shelf}"


def capture_of(engine: Engine, **options: Any) -> Capture:
    """A capture of things, whose table is there."""
    Base.metadata.create_all(engine)
    return Capture(engine, Publication(Thing, ThingOut, CHANNEL, **options))


def add(capture: Capture, number: int = 1, **values: Any) -> list[list[str]]:
    """Commit one more thing; what was told of it."""
    with capture.sessions.begin() as session:
        session.add(Thing(**{"id": number, "shelf": 1, "name": "a"} | values))
    return capture.told()


class Selects:
    """Counts the SELECTs of things while it listens."""

    def __init__(self, engine: Engine) -> None:
        self.statements: list[str] = []
        self._engine = engine

    def _hear(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("SELECT thing"):
            self.statements.append(statement)

    def __enter__(self) -> list[str]:
        event.listen(self._engine, "before_cursor_execute", self._hear)
        return self.statements

    def __exit__(self, *error: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._hear)
