"""A prepared SELECT finds what SQLAlchemy's own way finds, value by value, and steps aside where somebody listens."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Engine,
    Enum,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    TypeDecorator,
    Uuid,
    bindparam,
    event,
    insert,
    select,
)  # fmt: skip

from sqla_realtime.schema.prepared import Prepared, is_fit


class Colour(enum.Enum):
    RED = "r"


class Shout(TypeDecorator[str]):
    """Comes back louder than it was stored."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value.upper()


TABLE = Table(
    "of_all", MetaData(), Column("id", Integer, primary_key=True), Column("flag", Boolean), Column("at", DateTime),
    Column("colour", Enum(Colour)), Column("loud", Shout), Column("uuid", Uuid), Column("data", JSON),
    Column("price", Numeric(8, 2)), Column("long", Interval), Column("raw", LargeBinary),
)  # fmt: skip
ROW = {
    "flag": True, "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 6), "colour": Colour.RED, "loud": "a", "uuid": uuid.UUID(int=7),
    "data": {"a": [1]}, "price": decimal.Decimal("1.50"), "long": datetime.timedelta(minutes=3), "raw": b"\x00\xff",
}  # fmt: skip


def statement() -> Any:
    return select(TABLE).where(TABLE.c.id.between(bindparam("first"), bindparam("last"))).order_by(TABLE.c.id)


def test_the_values_are_those_of_sqlalchemy(engine: Engine) -> None:
    TABLE.create(engine)
    prepared, bounds = Prepared(statement(), ("first", "last")), {"first": 1, "last": 2}
    with engine.begin() as connection:
        connection.execute(insert(TABLE), [{"id": 1, **ROW}, {"id": 2, **dict.fromkeys(ROW)}, {"id": 3, **ROW}])
        for _ in range(2):
            found = prepared.fetch(connection, bounds)
            assert found is not None
            assert [tuple(row) for row in found] == [tuple(row) for row in connection.execute(statement(), bounds)]
            assert [type(value) for value in found[0]] == [
                int, bool, datetime.datetime, Colour, str, uuid.UUID, dict, decimal.Decimal, datetime.timedelta, bytes,
            ]  # fmt: skip


def test_it_steps_aside_for_listeners_and_for_other_parameters(engine: Engine) -> None:
    TABLE.create(engine)
    prepared, bounds = Prepared(statement(), ("first", "last")), {"first": 1, "last": 2}
    other = Prepared(statement().where(TABLE.c.loud == "a"), ("first", "last"))
    with engine.connect() as connection:
        assert prepared.fetch(connection, bounds) == []
        assert other.fetch(connection, bounds) is None
        engine.echo = True
        assert prepared.fetch(connection, bounds) is None
        engine.echo = False

        def hear(*arguments: Any) -> None:
            """Somebody may want to rewrite it."""

        event.listen(engine, "before_cursor_execute", hear)
        assert not is_fit(connection)
        assert prepared.fetch(connection, bounds) is None
        event.remove(engine, "before_cursor_execute", hear)
        assert prepared.fetch(connection, bounds) == []
