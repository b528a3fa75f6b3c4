"""Every type that SQLAlchemy maps on SQLite and PostgreSQL, as strict JSON: in create, update and snapshot, on each driver."""

from __future__ import annotations

import asyncio
import datetime
import enum
import uuid
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, create_model
from sqlalchemy import Column, Engine, func
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from sqla_realtime.capture.targets import resolve
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Reader
from tests.support.capture import Capture
from tests.support.databases import postgres_engine
from tests.support.strict import strict

NOON = datetime.datetime(2024, 2, 29, 12, 30, 1, 250000)
ZONED = NOON.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
BYTES = b"\x00\xff\xfe"
KEY = uuid.UUID("c0ffee00-0000-4000-8000-00000000beef")
BIG = 2**53 + 1
DEEP = {"big": BIG, "list": [1, -BIG, None, {"x": 1.5}], "text": "ü\u2028"}
DEEP_TEXT = {"big": str(BIG), "list": [1, str(-BIG), None, {"x": 1.5}], "text": "ü\u2028"}


class Colour(enum.Enum):
    """The database keeps the names, Pydantic sends the values."""

    RED = "r"
    BLUE = "b"


class Lower(sa.TypeDecorator[str]):
    """Text that is stored otherwise than it was given."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value and value.lower()


class Case(NamedTuple):
    """A column's type, what its field is annotated with, what is stored in it and what the record says."""

    kind: Any
    annotation: Any
    value: Any
    spelt: Any


COMMON = {
    "integer": Case(sa.Integer, int, 7, 7),
    "small": Case(sa.SmallInteger, int, 7, 7),
    "big": Case(sa.BigInteger, int, BIG, str(BIG)),
    "big_but_small": Case(sa.BigInteger, int, 7, 7),
    "boolean": Case(sa.Boolean, bool, True, True),
    "string": Case(sa.String(30), str, 'a"\\\n\u2028ü', 'a"\\\n\u2028ü'),
    "text": Case(sa.UnicodeText, str, "\U0001f600", "\U0001f600"),
    "numeric": Case(sa.Numeric(12, 2), Decimal, Decimal("1.239"), "1.24"),
    "numeric_as_float": Case(sa.Numeric(12, 2, asdecimal=False), float, 1.5, 1.5),
    "real": Case(sa.Float, float, 1.5, 1.5),
    "double": Case(sa.Double, float, 1e300, 1e300),
    "date": Case(sa.Date, datetime.date, NOON.date(), "2024-02-29"),
    "time": Case(sa.Time, datetime.time, NOON.time(), "12:30:01.250000"),
    "datetime": Case(sa.DateTime, datetime.datetime, NOON, "2024-02-29T12:30:01.250000"),
    "interval": Case(sa.Interval, datetime.timedelta, datetime.timedelta(days=1, seconds=2.5), "P1DT2.5S"),
    "uuid": Case(sa.Uuid, uuid.UUID, KEY, str(KEY)),
    "uuid_as_text": Case(sa.Uuid(as_uuid=False), str, str(KEY), str(KEY)),
    "binary": Case(sa.LargeBinary, bytes, BYTES, "AP_-"),
    "colour": Case(sa.Enum(Colour, name="colour"), Colour, Colour.RED, "r"),
    "word": Case(sa.Enum("x", "y", name="word"), str, "x", "x"),
    "document": Case(sa.JSON, Any, DEEP, DEEP_TEXT),
    "json_text": Case(sa.JSON, Any, "plain", "plain"),
    "json_null": Case(sa.JSON, Any, sa.JSON.NULL, None),
    "pickled": Case(sa.PickleType, dict[int, Any], {1: [KEY]}, {"1": [str(KEY)]}),
    "decorated": Case(Lower, str, "A@B.C", "a@b.c"),
    "missing": Case(sa.Integer, int | None, None, None),
    "not_a_number": Case(sa.Float, float | None, float("nan"), None),
    "infinite": Case(sa.Float, float | None, float("-inf"), None),
}
POSTGRES = {
    "char": Case(sa.CHAR(4), str, "x", "x   "),
    "instant": Case(sa.DateTime(timezone=True), datetime.datetime, ZONED, None),
    "zoned_time": Case(sa.Time(timezone=True), datetime.time, ZONED.timetz(), "12:30:01.250000+02:00"),
    "numeric_nan": Case(sa.Numeric, Decimal, Decimal("NaN"), None),
    "numeric_infinity": Case(sa.Numeric, Decimal, Decimal("-Infinity"), None),
    "numbers": Case(pg.ARRAY(sa.Integer), list[int], [1, 2], [1, 2]),
    "bigs": Case(pg.ARRAY(sa.BigInteger), list[int], [1, BIG], [1, str(BIG)]),
    "decimals": Case(pg.ARRAY(sa.Numeric), list[Decimal], [Decimal("1.50"), Decimal("NaN")], ["1.50", None]),
    "floats": Case(pg.ARRAY(sa.Float), list[float], [1.5, float("inf")], [1.5, None]),
    "grid": Case(pg.ARRAY(sa.Text, dimensions=2), list[list[str | None]], [["a", None], ["", "ü"]], [["a", None], ["", "ü"]]),
    "colours": Case(pg.ARRAY(sa.Enum(Colour, name="colour")), list[Colour], [Colour.BLUE], ["b"]),
    "jsonb": Case(pg.JSONB, dict[str, Any], DEEP, DEEP_TEXT),
    "inet": Case(pg.INET, IPv4Address | IPv4Interface, "10.0.0.1", "10.0.0.1"),
    "inet_host": Case(pg.INET, IPv4Interface, "10.0.0.1/8", "10.0.0.1/8"),
    "inet6": Case(pg.INET, IPv6Address | IPv6Interface, "2001:db8::1", "2001:db8::1"),
    "cidr": Case(pg.CIDR, IPv4Network, "10.0.0.0/8", "10.0.0.0/8"),
    "macaddr": Case(pg.MACADDR, str, "08:00:2b:01:02:03", "08:00:2b:01:02:03"),
    "bits": Case(pg.BIT(3), str | None, "101", "101"),
    "money": Case(pg.MONEY, str, "12.50", "$12.50"),
    "words": Case(pg.TSVECTOR, str, func.to_tsvector("simple", "b a"), "'a':2 'b':1"),
    "between": Case(pg.INT4RANGE, Range[int], Range(1, 5), {"lower": 1, "upper": 5, "bounds": "[)", "empty": False}),
    "wide": Case(
        pg.INT8RANGE, Range[int], Range(BIG, None), {"lower": str(BIG), "upper": None, "bounds": "[)", "empty": False}
    ),
    "price": Case(
        pg.NUMRANGE, Any, Range(Decimal("1.50"), None), {"lower": "1.50", "upper": None, "bounds": "[)", "empty": False}
    ),
    "days": Case(
        pg.DATERANGE,
        Range[datetime.date],
        Range(NOON.date(), None),
        {"lower": "2024-02-29", "upper": None, "bounds": "[)", "empty": False},
    ),
    "void": Case(pg.INT4RANGE, Range[int], Range(empty=True), {"lower": None, "upper": None, "bounds": "[)", "empty": True}),
    "several": Case(
        pg.INT4MULTIRANGE,
        list[Range[int]],
        [Range(1, 3), Range(5, 6)],
        [{"lower": low, "upper": high, "bounds": "[)", "empty": False} for low, high in ((1, 3), (5, 6))],
    ),
}


class Base(DeclarativeBase):
    """The wide tables."""


def wide(name: str, cases: Mapping[str, Case]) -> tuple[type[Any], type[BaseModel]]:
    """A model with a column for each case, and its schema."""
    columns = {key: Column(case.kind, nullable=True) for key, case in cases.items()}
    model = type(
        name,
        (Base,),
        {"__tablename__": name.lower(), "id": Column(sa.Integer, primary_key=True), "n": Column(sa.Integer), **columns},
    )
    fields: Any = {key: (case.annotation, ...) for key, case in cases.items()}
    config = ConfigDict(ser_json_bytes="base64", arbitrary_types_allowed=True)
    return model, create_model(f"{name}Out", __config__=config, id=(int, ...), n=(int, ...), **fields)


Plain, PlainOut = wide("Plain", COMMON)
Rich, RichOut = wide("Rich", COMMON | POSTGRES)


def expected(cases: Mapping[str, Case], n: int) -> dict[str, Any]:
    return {"id": 1, "n": n, **{key: case.spelt for key, case in cases.items()}}


def read(capture: Capture, publication: Publication) -> Any:
    """The record of the one row, as a snapshot has it."""
    with capture.engine.connect() as connection:
        [image] = Reader(publication.mapper, [publication]).where(connection, publication, {}, 2)
        return strict(publication.recorder.dump(image.source))


def records(capture: Capture) -> list[Any]:
    commits = capture.commits()
    assert not any(commit.invalidated for commit in commits)
    return [strict(change.record) for commit in commits for change in commit.changes]


def instant(record: dict[str, Any]) -> datetime.datetime:
    """A moment in time has as many spellings as there are zones; it is taken out and compared as a moment."""
    moment = datetime.datetime.fromisoformat(record["instant"])
    record["instant"] = None
    return moment


def test_every_type_on_sqlite(sqlite: Engine) -> None:
    Base.metadata.create_all(sqlite, [Plain.__table__])
    publication = Publication(Plain, PlainOut, "plain")
    capture = Capture(sqlite, publication)
    with capture.sessions.begin() as session:
        session.add(Plain(id=1, n=1, **{key: case.value for key, case in COMMON.items()}))
    with capture.sessions.begin() as session:
        session.get_one(Plain, 1).n = 2
    assert records(capture) == [expected(COMMON, 1), expected(COMMON, 2)]
    assert read(capture, publication) == expected(COMMON, 2)


# SQLAlchemy 2.1's MONEY does not have what 2.1 asks of types.
@pytest.mark.filterwarnings("ignore:Type object .*MONEY.*:DeprecationWarning")
def test_every_type_on_postgresql() -> None:
    with postgres_engine() as engine:
        Base.metadata.create_all(engine, [Rich.__table__])
        publication = Publication(Rich, RichOut, "rich")
        capture = Capture(engine, publication)
        with capture.sessions.begin() as session:
            session.add(Rich(id=1, n=1, **{key: case.value for key, case in (COMMON | POSTGRES).items()}))
        with capture.sessions.begin() as session:
            session.get_one(Rich, 1).n = 2
        told = [*records(capture), read(capture, publication)]
        assert [instant(record) for record in told] == [ZONED] * 3
        assert told == [expected(COMMON | POSTGRES, n) for n in (1, 2, 2)]


@pytest.mark.filterwarnings("ignore:Type object .*MONEY.*:DeprecationWarning")
@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
def test_every_type_on_asyncio(driver: str) -> None:
    """What a commit tells on one driver is what the snapshot reads on another."""

    cases = COMMON | POSTGRES
    if sa.__version__ < "2.1" and "asyncpg" in driver:
        # There bits are asyncpg's own class, which has no JSON form.
        cases["bits"] = Case(pg.BIT(3), None, None, None)

    async def work(engine: Engine, capture: Capture) -> None:
        made = create_async_engine(engine.url.set(drivername=driver))
        async with AsyncSession(made) as session:
            capture.hooks.enable(resolve(session))
            session.add(Rich(id=1, n=1, **{key: case.value for key, case in cases.items()}))
            await session.commit()
        await made.dispose()

    with postgres_engine() as engine:
        Base.metadata.create_all(engine, [Rich.__table__])
        publication = Publication(Rich, RichOut, "rich")
        capture = Capture(engine, publication)
        asyncio.run(work(engine, capture))
        told = [*records(capture), read(capture, publication)]
        assert [instant(record) for record in told] == [ZONED] * 2
        assert told == [expected(cases, 1)] * 2


class Tagged(Base):
    """Text to text."""

    __tablename__ = "tagged"
    id = Column(sa.Integer, primary_key=True)
    tags = Column(pg.HSTORE)


class TaggedOut(BaseModel):
    """All of it."""

    id: int
    tags: dict[str, str | None]


def test_hstore() -> None:
    with postgres_engine() as engine:
        with engine.begin() as connection:
            if not connection.scalar(sa.text("SELECT count(*) FROM pg_available_extensions WHERE name = 'hstore'")):
                pytest.skip("this server comes without hstore")
            connection.execute(sa.text("CREATE EXTENSION hstore"))
        Base.metadata.create_all(engine, [Tagged.__table__])
        publication = Publication(Tagged, TaggedOut, "tagged")
        capture = Capture(engine, publication)
        with capture.sessions.begin() as session:
            session.add(Tagged(id=1, tags={"a": "1", "b": None}))
        assert [*records(capture), read(capture, publication)] == [{"id": 1, "tags": {"a": "1", "b": None}}] * 2
