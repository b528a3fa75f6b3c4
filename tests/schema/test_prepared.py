"""What runs on the driver's own cursor returns what SQLAlchemy would, or leaves it to SQLAlchemy."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine, bindparam, event, select
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.schema.prepared import Prepared, is_fit

NOON = datetime.datetime(2024, 2, 29, 12, 30, 1, 250000)
ZONED = NOON.replace(tzinfo=datetime.UTC)


class Colour(enum.Enum):
    """The database keeps the names."""

    RED = "r"


class Upper(sa.TypeDecorator[str]):
    """Is read otherwise than it is stored."""

    impl = sa.String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value and value.upper()


COMMON: dict[str, tuple[Any, Any]] = {
    "integer": (sa.Integer, 7), "big": (sa.BigInteger, 2**60), "boolean": (sa.Boolean, True), "string": (sa.String(9), "a"),
    "numeric": (sa.Numeric(12, 2), Decimal("1.5")), "number": (sa.Numeric(12, 2, asdecimal=False), 1.5),
    "real": (sa.Float, 1 / 3), "decimal": (sa.Float(asdecimal=True), Decimal("0.5")), "date": (sa.Date, NOON.date()),
    "time": (sa.Time, NOON.time()), "datetime": (sa.DateTime, NOON), "interval": (sa.Interval, NOON - NOON.replace(day=1)),
    "uuid": (sa.Uuid, uuid.UUID(int=7)), "uuid_text": (sa.Uuid(as_uuid=False), str(uuid.UUID(int=7))),
    "binary": (sa.LargeBinary, b"\x00\xff"), "enum": (sa.Enum(Colour, name="colour"), Colour.RED),
    "json": (sa.JSON, {"a": [1, None]}), "pickled": (sa.PickleType, {1: (2,)}), "decorated": (Upper, "abc"),
    "variant": (sa.String().with_variant(sa.Text(), "sqlite"), "v"),
}  # fmt: skip
POSTGRES: dict[str, tuple[Any, Any]] = {
    "instant": (sa.DateTime(timezone=True), ZONED), "zoned": (sa.Time(timezone=True), ZONED.timetz()),
    "char": (sa.CHAR(4), "x"), "numbers": (pg.ARRAY(sa.Integer), [1, 2]), "grid": (pg.ARRAY(sa.Text, dimensions=2), [["a"]]),
    "colours": (pg.ARRAY(sa.Enum(Colour, name="colour")), [Colour.RED]), "decimals": (pg.ARRAY(sa.Numeric), [Decimal("1.5")]),
    "jsonb": (pg.JSONB, {"a": 1}), "inet": (pg.INET, "10.0.0.1"), "cidr": (pg.CIDR, "10.0.0.0/8"),
    "range": (pg.INT4RANGE, pg.Range(1, 5)), "bits": (pg.BIT(3), "101"), "upper": (pg.ARRAY(Upper), ["abc"]),
}  # fmt: skip


class Base(DeclarativeBase):
    """Models of this module."""


class Animal(Base):
    """A tree in one table."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Cat(Animal):
    """Told by a parameter of its own."""

    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


def wide(dialect: str) -> tuple[sa.Table, dict[str, Any]]:
    """A table with a column of each type, and a row for it."""
    cases = COMMON | (POSTGRES if dialect == "postgresql" else {})
    columns = [sa.Column(name, kind) for name, (kind, _) in cases.items()]
    table = sa.Table("wide", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), *columns)
    return table, {name: value for name, (_, value) in cases.items()}


@pytest.fixture
def wide_table(engine: Engine) -> sa.Table:
    table, row = wide(engine.dialect.name)
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert().values(id=1, **row))
        connection.execute(table.insert().values(id=2))
        connection.execute(table.insert().values(id=3, **row))
    return table


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def between(table: Any) -> sa.Select[Any]:
    return select(*table.c).where(table.c.id.between(bindparam("first"), bindparam("last"))).order_by(table.c.id)


def exact(rows: Any) -> list[list[tuple[type, str]]]:
    """The values with their classes: 1, True and 1.0 are equal."""
    return [[(type(value), repr(value)) for value in row] for row in rows]


def test_the_values_are_sqlalchemys_own(wide_table: sa.Table, connection: Connection) -> None:
    statement = between(wide_table)
    prepared = Prepared(statement, ("first", "last"))
    for first, last in ((1, 3), (2, 2), (1, 1), (8, 9)):
        parameters = {"first": first, "last": last}
        found = prepared.fetch(connection, parameters)
        assert found is not None
        assert exact(found) == exact(connection.execute(statement, parameters))
    assert len(found or ()) == 0


def test_the_first_row_may_be_empty(wide_table: sa.Table, connection: Connection) -> None:
    """What is made of values is worked out from the first result, which may have none."""
    statement = between(wide_table)
    prepared = Prepared(statement, ("first", "last"))
    assert prepared.fetch(connection, {"first": 8, "last": 9}) == []
    assert exact(prepared.fetch(connection, {"first": 1, "last": 1})) == exact(
        connection.execute(statement, {"first": 1, "last": 1})
    )


@pytest.mark.parametrize("name", ["before_execute", "before_cursor_execute", "after_cursor_execute", "after_execute"])
def test_it_steps_aside_for_a_listener(wide_table: sa.Table, engine: Engine, connection: Connection, name: str) -> None:
    prepared = Prepared(between(wide_table), ("first", "last"))
    parameters = {"first": 1, "last": 1}

    def listen(*arguments: object) -> None: ...

    for target in (engine, Engine):
        assert is_fit(connection)
        event.listen(target, name, listen)
        try:
            assert not is_fit(connection)
            assert prepared.fetch(connection, parameters) is None
        finally:
            event.remove(target, name, listen)
    assert len(prepared.fetch(connection, parameters) or ()) == 1


def test_it_steps_aside_for_echo(wide_table: sa.Table, engine: Engine, connection: Connection) -> None:
    prepared = Prepared(between(wide_table), ("first", "last"))
    engine.echo = True
    try:
        assert prepared.fetch(connection, {"first": 1, "last": 1}) is None
    finally:
        engine.echo = False
    assert len(prepared.fetch(connection, {"first": 1, "last": 1}) or ()) == 1


def test_it_steps_aside_for_parameters_of_others(engine: Engine, connection: Connection) -> None:
    """Such as those that tell the rows of a subclass in a common table."""
    Base.metadata.create_all(connection)
    for model, found in ((Animal, []), (Cat, None)):
        statement = select(model.id).where(model.id.between(bindparam("first"), bindparam("last")))
        assert Prepared(statement, ("first", "last")).fetch(connection, {"first": 1, "last": 2}) == found


def test_an_error_is_the_drivers(wide_table: sa.Table, engine: Engine, connection: Connection) -> None:
    prepared = Prepared(between(wide_table), ("first", "last"))
    wide_table.drop(connection)
    with pytest.raises(engine.dialect.loaded_dbapi.Error):
        prepared.fetch(connection, {"first": 1, "last": 1})
