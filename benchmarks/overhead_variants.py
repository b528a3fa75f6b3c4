"""What commit_overhead.py compares: a ten-column model of its own for each way of capturing it, and the work done on it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, MetaData, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.capture.hooks import Hooks
from sqla_realtime.capture.targets import resolve
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.record import Recorder
from sqla_realtime.schema.registry import Registry

CHANNEL = "projects/{project_id}/items"
SINCE = datetime.datetime(2026, 1, 1, 12, 30)


class ItemOut(BaseModel):
    """All ten columns."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    project_id: int
    title: str
    body: str
    owner: str | None
    size: int
    position: int
    score: float
    done: bool
    created: datetime.datetime


@dataclass(frozen=True)
class Variant:
    """One model, its table, and Sessions that are captured in one way."""

    name: str
    model: type[Any]
    metadata: MetaData
    sessions: sessionmaker[Session]


def new_model(name: str, **attributes: Any) -> type[Any]:
    """A model of ten columns: classes are not shared, because listeners on a shared one would slow down everybody."""

    class Base(DeclarativeBase):
        pass

    columns = {
        "__tablename__": f"item_{name}",
        "__annotations__": {
            "id": Mapped[int],
            "project_id": Mapped[int],
            "title": Mapped[str],
            "body": Mapped[str],
            "owner": Mapped[str | None],
            "size": Mapped[int],
            "position": Mapped[int],
            "score": Mapped[float],
            "done": Mapped[bool],
            "created": Mapped[datetime.datetime],
        },
        "id": mapped_column(primary_key=True),
        **attributes,
    }
    return type(f"Item{name.title()}", (Base,), columns)


def plain(name: str, engine: Engine, **attributes: Any) -> Variant:
    """SQLAlchemy alone."""
    model = new_model(name, **attributes)
    # A class of its own: listeners on SQLAlchemy's would be everybody's.
    sessions = sessionmaker(engine, class_=type("Session", (Session,), {}))
    return Variant(name, model, model.metadata, sessions)


def captured(name: str, engine: Engine, *, wanted: bool = False, other: bool = False, **publication: Any) -> Variant:
    """With the product's hooks and a log in memory.

    ``wanted``: somebody listens. Whoever that is gets the rows in another thread, whose work is not the commit's, so the
    answer alone is what is measured. ``other``: the model that is published is not the one that is changed.
    """
    variant = plain(name, engine)
    registry = Registry()
    hooks = Hooks(registry, MemoryBroker(), lambda pattern: wanted)
    made = Publication(new_model("other") if other else variant.model, ItemOut, CHANNEL, **publication)
    registry.publish(made)
    hooks.watch(made)
    hooks.enable(resolve(variant.sessions))
    return variant


def naive(name: str, engine: Engine) -> Variant:
    """What people write first: remember session.new, dirty and deleted, and serialise them when the commit is done."""
    variant = plain(name, engine)
    recorder = Recorder(ItemOut, list(ItemOut.model_fields), frozenset())
    sent: list[tuple[str, int, bytes | None]] = []

    def remember(session: Session, context: Any, instances: Any) -> None:
        held = session.info.setdefault("changes", [])
        held += [("create", each) for each in session.new]
        held += [("update", each) for each in session.dirty if session.is_modified(each)]
        held += [("destroy", each) for each in session.deleted]

    def send(session: Session) -> None:
        sent.clear()
        for kind, each in session.info.pop("changes", ()):
            sent.append((kind, each.id, None if kind == "destroy" else recorder.dump(each)))

    event.listen(variant.sessions, "before_flush", remember)
    event.listen(variant.sessions, "after_commit", send)
    return variant


def rows(model: type[Any], count: int) -> list[Any]:
    """New objects with plain values."""
    return [
        model(
            project_id=number % 10,
            title=f"Item {number}",
            body="x" * 100,
            owner=None if number % 3 else "somebody",
            size=number,
            position=number * 2,
            score=number / 7,
            done=bool(number % 2),
            created=SINCE,
        )
        for number in range(count)
    ]


Measured = Callable[[Session], Any]


def bulk_steps(variant: Variant, count: int) -> Iterator[tuple[str, Session, Measured]]:
    """Inserts, updates and deletes of ``count`` rows in one transaction each: what is prepared, and what is measured."""
    with variant.sessions() as session:
        made = rows(variant.model, count)

        def insert(session: Session) -> None:
            session.add_all(made)
            session.commit()

        yield "insert", session, insert
    with variant.sessions() as session:
        loaded = list(session.scalars(select(variant.model)))

        def update(session: Session) -> None:
            for each in loaded:
                each.title += "!"
                each.size += 1
            session.commit()

        yield "update", session, update
    with variant.sessions() as session:
        loaded = list(session.scalars(select(variant.model)))

        def delete(session: Session) -> None:
            for each in loaded:
                session.delete(each)
            session.commit()

        yield "delete", session, delete


def add_each(variant: Variant, count: int) -> None:
    """``count`` transactions of one new row."""
    for each in rows(variant.model, count):
        with variant.sessions() as session:
            session.add(each)
            session.commit()


def change_each(variant: Variant, keys: list[int]) -> None:
    """A transaction for each key: get, change, commit."""
    for key in keys:
        with variant.sessions() as session:
            session.get_one(variant.model, key).title += "!"
            session.commit()
