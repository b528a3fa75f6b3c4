"""A publication's where: Python's answer is the database's, for every clause that is accepted; the rest is refused."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import CHAR, JSON, ColumnElement, DateTime, Engine, Float, Numeric, String, and_, func, or_, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqla_realtime.errors import BadWhere
from sqla_realtime.schema.predicate import Predicate
from tests.support.models import Page


class Base(DeclarativeBase):
    """The one table."""


class Color(enum.Enum):
    """Stored by name."""

    RED = "r"
    BLUE = "b"


class Thing(Base):
    """A column of every kind that can be compared, all of them nullable, and some that can't."""

    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int | None]
    other: Mapped[int | None]
    word: Mapped[str | None]
    flag: Mapped[bool | None]
    price: Mapped[decimal.Decimal | None] = mapped_column(Numeric(10, 2))
    day: Mapped[datetime.date | None]
    moment: Mapped[datetime.datetime | None]
    color: Mapped[Color | None]
    token: Mapped[uuid.UUID | None]
    ratio: Mapped[float | None]
    small: Mapped[float | None] = mapped_column(Float(24))
    zoned: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))
    padded: Mapped[str | None] = mapped_column(CHAR(5))
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class Folded(Base):
    """Not every database has its collation."""

    __tablename__ = "folded"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str | None] = mapped_column(String(collation="C"))


NUMBERS = st.integers(-3, 3)
WORDS = st.sampled_from(["", "a", "A", "a ", "ä", "b"])
PRICES = st.decimals(-2, 2, places=2, allow_nan=False)
DAYS = st.dates(datetime.date(2020, 1, 1), datetime.date(2020, 1, 4))
MOMENTS = st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)).map(lambda at: at.replace(microsecond=0))
TOKENS = st.sampled_from([uuid.UUID(int=1), uuid.UUID(int=2)])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": NUMBERS,
    "other": NUMBERS,
    "word": WORDS,
    "flag": st.booleans(),
    "price": PRICES,
    "day": DAYS,
    "moment": MOMENTS,
    "color": st.sampled_from(Color),
    "token": TOKENS,
}
ORDERED = ["number", "price", "day", "moment"]


def comparison(name: str) -> st.SearchStrategy[ColumnElement[bool]]:
    column = getattr(Thing, name)
    value = VALUES[name]
    equal = [
        value.map(lambda each: column == each),
        value.map(lambda each: column != each),
        st.just(column.is_(None)),
        st.just(column.is_not(None)),
        st.lists(value, max_size=3).map(column.in_),
        st.lists(value, max_size=3).map(column.not_in),
    ]
    ordered = [
        value.map(lambda each: column < each),
        value.map(lambda each: column <= each),
        value.map(lambda each: column > each),
        value.map(lambda each: each <= column),
        st.tuples(value, value).map(lambda pair: column.between(*pair)),
        st.tuples(value, value).map(lambda pair: ~column.between(*pair)),
    ]
    return st.one_of(equal + ordered if name in ORDERED else equal)


CLAUSES = st.recursive(
    st.one_of(
        *map(comparison, VALUES),
        st.sampled_from(
            [
                Thing.flag,
                ~Thing.flag,
                Thing.flag.is_(True),
                Thing.flag.is_(False),
                Thing.flag.is_not(True),
                Thing.number == Thing.other,
                Thing.number < Thing.other,
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: and_(*pair)),
        st.tuples(inner, inner).map(lambda pair: or_(*pair)),
        inner.map(lambda clause: ~clause),
    ),
    max_leaves=5,
)
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | value for name, value in VALUES.items()}), min_size=1, max_size=8)


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mysql"], indirect=True)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clause=CLAUSES, rows=ROWS)
def test_python_selects_the_rows_that_the_database_selects(
    engine: Engine, clause: ColumnElement[bool], rows: list[Any]
) -> None:
    Thing.__table__.create(engine, checkfirst=True)  # type: ignore[attr-defined]
    predicate = Predicate(Thing.__mapper__, clause)
    with Session(engine) as session:
        session.add_all([Thing(id=number, **row) for number, row in enumerate(rows)])
        session.flush()
        session.expire_all()
        stored = {thing.id: {name: getattr(thing, name) for name in VALUES} for thing in session.scalars(select(Thing))}
        selected = set(session.scalars(select(Thing.id).where(predicate.clause)))
        session.rollback()
    assert {number for number, values in stored.items() if predicate(values)} == selected


@pytest.mark.parametrize(
    "clause",
    [
        lambda: Thing.word < "b",
        lambda: Thing.word.like("a%"),
        lambda: Thing.word.ilike("a"),
        lambda: func.lower(Thing.word) == "a",
        lambda: Thing.word + "x" == "ax",
        lambda: Thing.number + 1 == 2,
        lambda: Thing.number == 1.5,
        lambda: Thing.number == "1",
        lambda: Thing.number.in_(["1"]),
        lambda: Thing.number.in_(select(Thing.other)),
        lambda: Thing.day == datetime.datetime(2020, 1, 1),
        lambda: Thing.moment == datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        lambda: Thing.ratio == 0.5,
        lambda: Thing.small > 0,
        lambda: Thing.zoned.is_(None),
        lambda: Thing.padded == "a",
        lambda: Thing.data == {},
        lambda: Thing.token < uuid.UUID(int=1),
        lambda: Thing.number.is_distinct_from(1),
        lambda: Page.title == "a",
        lambda: Page.size == Thing.number,
        lambda: Thing.number == select(func.max(Thing.other)).scalar_subquery(),
        lambda: select(Page.id).exists(),
        lambda: Thing.number,
    ],
)
def test_what_two_computers_would_not_agree_on_is_refused(clause: Callable[[], Any]) -> None:
    made = clause()
    with pytest.raises(BadWhere, match=r"Use columns of Thing"):
        Predicate(Thing.__mapper__, made)


def test_a_collation_is_refused() -> None:
    with pytest.raises(BadWhere, match="not compared alike"):
        Predicate(Folded.__mapper__, Folded.word == "a")


def test_a_column_by_itself() -> None:
    assert Predicate(Thing.__mapper__, Thing.flag)({"flag": True})
    assert not Predicate(Thing.__mapper__, Thing.flag)({"flag": None})


def test_what_it_reads_is_known() -> None:
    assert Predicate(Thing.__mapper__, and_(Thing.number > 1, or_(Thing.flag, Thing.word == "a"))).reads == {
        "number",
        "flag",
        "word",
    }
