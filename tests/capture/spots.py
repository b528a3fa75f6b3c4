"""Hot rows: spots that move within a room and sometimes to another, with tags and nodes beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, ForeignKey, func
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture


class Base(DeclarativeBase):
    """Models of this module."""


class Spot(Base):
    """A hot row: something that moves within a room, and sometimes to another."""

    __tablename__ = "spot"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    room: Mapped[int] = mapped_column(default=1)
    x: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(default="a")
    tags: Mapped[list[Tag]] = relationship()

    @hybrid_property
    def double(self) -> int:
        return self.x * 2


class Tag(Base):
    """Goes where its spot goes; the database sees to it."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    spot_id: Mapped[int | None] = mapped_column(ForeignKey("spot.id", ondelete="SET NULL"))
    saves: Mapped[int] = mapped_column(default=0, onupdate=lambda: 5)
    length: Mapped[int] = mapped_column(default=0, onupdate=func.length("four"))
    name: Mapped[str] = mapped_column(default="a")


class Node(Base):
    """A foreign key that an UPDATE sets when the row is already there."""

    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    next: Mapped[Node | None] = relationship(remote_side=id, post_update=True)


class SpotOut(BaseModel):
    """All but the room."""

    id: int
    x: int
    name: str


class NextOut(BaseModel):
    """The foreign key that is set late."""

    id: int
    next_id: int | None


class TagOut(BaseModel):
    """All of it."""

    id: int
    spot_id: int | None
    saves: int
    length: int
    name: str


STORED = Publication(Spot, SpotOut, "rooms/{room}")
HELD = Publication(Spot, SpotOut, "rooms/{room}", read="attributes")


def two_spots(engine: Engine) -> Callable[..., Capture]:
    """What makes a Capture of publications on a database with two spots, each in a room of its own."""
    Base.metadata.create_all(engine)

    def make(*publications: Publication, **session: Any) -> Capture:
        capture = Capture(engine, *publications, **session)
        with Session(engine) as plain, plain.begin():
            plain.add_all([Spot(id=1), Spot(id=2, room=2)])
        return capture

    return make
