"""Which tables are to be watched: what can't be is refused when it is declared, what is not is said when it is looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.brokers.triggers import Watched, declared
from sqla_realtime.capture.watched import check, watch
from sqla_realtime.errors import LogUnsuitable, NotMapped, NotWatchable
from tests.support.scene import Ear


class Base(DeclarativeBase):
    """Of this module alone: being watched is a property of tables."""


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str | None]


class Special(Item):
    __tablename__ = "special"
    id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)


def item_schema() -> Any:
    from pydantic import BaseModel

    class ItemOut(BaseModel):
        id: int

    return ItemOut


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    for table in Base.metadata.tables.values():
        table.info.clear()


def test_every_table_of_a_model_is_watched_and_a_table_by_itself_too() -> None:
    alone = Table("alone", MetaData(), Column("id", Integer, primary_key=True))
    watch([Special, alone])
    tables = [*Base.metadata.sorted_tables, alone]
    assert declared(tables) == [Watched("item"), Watched("special"), Watched("alone")]


@pytest.mark.parametrize(
    ("models", "without", "error"),
    [
        ([object], (), NotMapped),
        ([Table("keyless", MetaData(), Column("id", Integer))], (), NotWatchable),
        ([Item], ("id",), NotWatchable),
        ([Item], ("noet",), NotWatchable),
    ],
)
def test_what_can_not_be_watched_is_refused_when_it_is_declared(
    models: list[Any], without: tuple[str, ...], error: Any
) -> None:
    with pytest.raises(error):
        watch(models, without)
    assert declared(Base.metadata.tables.values()) == []


def test_a_log_in_memory_hears_of_no_trigger(realtime: Callable[..., Realtime]) -> None:
    with pytest.raises(LogUnsuitable, match="Realtime\\(broker="):
        realtime().watch(Item)


@pytest.fixture
def shared(realtime: Callable[..., Realtime], engine: Engine) -> Realtime:
    made = realtime(broker="database")
    made.publish(Item, schema=item_schema(), channel="items", join=anyone)
    made.enable(sessionmaker(engine, class_=Session))
    Base.metadata.create_all(engine)
    made.watch(Item)
    return made


def test_what_is_missing_is_said_until_a_migration_has_made_it(shared: Realtime, engine: Engine, ear: Ear) -> None:
    postgres = engine.dialect.name == "postgresql"
    with engine.connect() as connection:
        check(connection, shared._registry)
    assert ("[watch-missing]" in ear.text, "[watch-unsupported]" in ear.text) == (postgres, not postgres)
    assert shared.migrate() == ["realtime_log", "realtime_tick", "item"]
    assert shared.migrate() == ["realtime_log", "realtime_tick", "item"]
    if postgres:
        said = ear.text
        with engine.connect() as connection:
            check(connection, shared._registry)
        assert ear.text == said
