"""New rows are told from what their INSERT brought, where no database could have stored anything else."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, ForeignKey, String, TypeDecorator, event, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.capture.kept import PLAIN, Keeper, plain_class
from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture, reads, records, truth

NOON = datetime.datetime(2024, 2, 29, 12, 30, 1, 250000)
ZONED = NOON.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


class Base(DeclarativeBase):
    """Models of this module."""


class Lower(TypeDecorator[str]):
    """Stores text in lower case."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.lower()


class Plain(Base):
    """Every type that is stored as it is given."""

    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[Any] = mapped_column(sa.SmallInteger, nullable=True)
    number: Mapped[Any] = mapped_column(sa.Integer, nullable=True)
    big: Mapped[Any] = mapped_column(sa.BigInteger, nullable=True)
    flag: Mapped[Any] = mapped_column(sa.Boolean, nullable=True)
    name: Mapped[Any] = mapped_column(String(5), nullable=True)
    text: Mapped[Any] = mapped_column(sa.Text, nullable=True)
    ratio: Mapped[Any] = mapped_column(sa.Float, nullable=True)
    double: Mapped[Any] = mapped_column(sa.Double, nullable=True)
    at: Mapped[Any] = mapped_column(sa.DateTime, nullable=True)
    day: Mapped[Any] = mapped_column(sa.Date, nullable=True)
    code: Mapped[Any] = mapped_column(sa.Uuid, nullable=True)
    data: Mapped[Any] = mapped_column(sa.LargeBinary, nullable=True)


class PlainOut(BaseModel):
    """All of it, just as it comes."""

    model_config = ConfigDict(ser_json_bytes="base64")
    id: int
    small: Any
    number: Any
    big: Any
    flag: Any
    name: Any
    text: Any
    ratio: Any
    double: Any
    at: Any
    day: Any
    code: Any
    data: Any


class Own(Base):
    """Columns of which the database, or a type, makes something else."""

    __tablename__ = "own"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[Any] = mapped_column(String, server_default="new", nullable=True)
    count: Mapped[Any] = mapped_column(default=lambda: 3, type_=sa.Integer, nullable=True)
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012


class Returned(Base):
    """The same, where the INSERT returns what the database has set."""

    __tablename__ = "returned"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[Any] = mapped_column(String, server_default="new", nullable=True)
    count: Mapped[Any] = mapped_column(default=lambda: 3, type_=sa.Integer, nullable=True)


class OwnOut(BaseModel):
    """All of either."""

    id: int
    state: Any
    count: Any


class Mailed(Base):
    """A type of the user's own."""

    __tablename__ = "mailed"
    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str] = mapped_column(Lower)


class MailedOut(BaseModel):
    """All of it."""

    id: int
    mail: str


class Animal(Base):
    """A tree in one table and a joined one."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Cat(Animal):
    """In its parent's table."""

    lives: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


class Dog(Animal):
    """In a table of its own."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    tricks: Mapped[int] = mapped_column(default=0)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class AnimalOut(BaseModel):
    """The base's columns."""

    id: int
    kind: str
    name: str | None


class DogOut(AnimalOut):
    """A dog's."""

    tricks: int


PLAIN_ROWS = Publication(Plain, PlainOut, "plain")


@pytest.fixture
def make(engine: Engine) -> Callable[..., Capture]:
    Base.metadata.create_all(engine)
    return lambda *publications: Capture(engine, *publications)


def test_a_row_of_plain_values_is_told_without_reading_it(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(PLAIN_ROWS)
    with reads(engine, "plain") as sent, capture.sessions.begin() as session:
        session.add(
            Plain(
                id=1, small=-7, big=2**40, flag=True, name="abcde", text="a \n", ratio=1 / 3, double=1e300,
                at=NOON, day=NOON.date(), code=uuid.UUID(int=7), data=b"\x00\xff",
            )
        )  # fmt: skip
        session.add(Plain(id=2))
        session.add(Plain(id=3, name=None, ratio=0.0, flag=False))
    assert sent == []
    told = records(capture)
    assert told == truth(engine, PLAIN_ROWS)
    assert (told[0]["name"], told[0]["flag"], told[1]["name"]) == ("abcde", True, None)


def test_a_key_that_the_database_makes_is_known(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(PLAIN_ROWS)
    with reads(engine, "plain") as sent, capture.sessions.begin() as session:
        session.add_all([Plain(name=str(number)) for number in range(20)])
    assert sent == []
    assert sorted((each["id"], each["name"]) for each in records(capture)) == [(n + 1, str(n)) for n in range(20)]


ODD = {
    "not a number": {"ratio": float("nan")},
    "minus zero": {"ratio": -0.0},
    "infinity": {"double": float("inf")},
    "an int in a Float": {"ratio": 3},
    "True in an Integer": {"number": True},
    "1 in a Boolean": {"flag": 1},
    "a zone": {"at": ZONED},
    "a fold": {"at": NOON.replace(fold=1)},
    "a time in a Date": {"day": NOON},
    "spaces beyond the length": {"name": "abcde   "},
    "an expression": {"small": sa.literal(2) + 3},
    "a function": {"name": func.lower("ABC")},
    "a SELECT": {"big": sa.select(func.coalesce(None, 9)).scalar_subquery()},
}


@pytest.mark.parametrize("name", ODD)
def test_a_value_that_may_be_stored_otherwise_is_read(make: Callable[..., Capture], engine: Engine, name: str) -> None:
    capture = make(PLAIN_ROWS)
    with capture.sessions.begin() as session:
        session.add(Plain(id=1, **ODD[name]))
    assert repr(records(capture)) == repr(truth(engine, PLAIN_ROWS))
    with reads(engine, "plain") as sent, capture.sessions.begin() as session:
        session.add(Plain(id=2, **ODD[name]))
    assert len(sent) == 1
    assert repr(records(capture)) == repr(truth(engine, PLAIN_ROWS)[1:])


@pytest.mark.parametrize("model", [Own, Returned])
@pytest.mark.parametrize("values", [{}, {"state": None, "count": None}, {"state": "old", "count": 4}])
def test_what_is_left_to_the_database_is_told_as_it_is(
    make: Callable[..., Capture], engine: Engine, model: type[Any], values: dict[str, Any]
) -> None:
    publication = Publication(model, OwnOut, "own")
    capture = make(publication)
    with capture.sessions.begin() as session:
        session.add(model(id=1, **values))
    told = records(capture)
    assert told == truth(engine, publication)
    assert told == [{"id": 1, "state": values.get("state") or "new", "count": values.get("count") or 3}]


def test_a_type_of_the_users_own_is_read(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(Publication(Mailed, MailedOut, "mailed"))
    with reads(engine, "mailed") as sent, capture.sessions.begin() as session:
        session.add(Mailed(id=1, mail="A@B"))
    assert (records(capture), len(sent)) == ([{"id": 1, "mail": "a@b"}], 1)


def test_trees_are_told_as_they_are_stored(make: Callable[..., Capture], engine: Engine) -> None:
    publications = Publication(Animal, AnimalOut, "animals"), Publication(Dog, DogOut, "dogs")
    capture = make(*publications)
    with capture.sessions.begin() as session:
        session.add_all([Animal(id=1, name="a"), Cat(id=2, name="c", lives=9), Dog(id=3, name="d", tricks=2)])
    told = [(each.channel, each.cls, each.id, each.record) for commit in capture.commits() for each in commit.changes]
    assert sorted(told) == [
        ("animals", "Animal", "1", b'{"id":1,"kind":"animal","name":"a"}'),
        ("animals", "Cat", "2", b'{"id":2,"kind":"cat","name":"c"}'),
        ("animals", "Dog", "3", b'{"id":3,"kind":"dog","name":"d"}'),
        ("dogs", "Dog", "3", b'{"id":3,"kind":"dog","name":"d","tricks":2}'),
    ]


def test_a_listener_that_changes_the_object_after_its_insert_is_not_believed(
    make: Callable[..., Capture], engine: Engine
) -> None:
    capture = make(PLAIN_ROWS)

    def rename(mapper: object, connection: object, target: Plain) -> None:
        target.name = "later"

    event.listen(Plain, "after_insert", rename)
    try:
        with capture.sessions.begin() as session:
            session.add(Plain(id=1, name="first"))
    finally:
        event.remove(Plain, "after_insert", rename)
    assert records(capture) == truth(engine, PLAIN_ROWS)


def test_a_listener_that_writes_to_the_row_in_its_flush_is_seen(engine: Engine) -> None:
    Base.metadata.create_all(engine)

    def rename(mapper: object, connection: sa.Connection, target: Plain) -> None:
        connection.execute(sa.update(Plain).where(Plain.id == target.id).values(name="later"))

    event.listen(Plain, "after_insert", rename)  # before ours
    capture = Capture(engine, PLAIN_ROWS)
    try:
        with capture.sessions.begin() as session:
            session.add(Plain(id=1, name="first"))
    finally:
        event.remove(Plain, "after_insert", rename)
    assert [each["name"] for each in records(capture)] == ["later"]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        *((sa.Column("c", made), kind) for made, kind in PLAIN.items()),
        (sa.Column("c", sa.DateTime(timezone=True)), None),
        (sa.Column("c", sa.Float(asdecimal=True)), None),
        (sa.Column("c", sa.Float(24)), None),
        (sa.Column("c", sa.Numeric(8, 2)), None),
        (sa.Column("c", sa.CHAR(4)), None),
        (sa.Column("c", sa.Uuid(as_uuid=False)), None),
        (sa.Column("c", sa.Enum("x", "y")), None),
        (sa.Column("c", sa.JSON), None),
        (sa.Column("c", Lower), None),
        (sa.Column("c", sa.Integer, sa.Computed("1")), None),
        (sa.Column("c", sa.Integer().with_variant(sa.String(), "sqlite")), None),
        (sa.literal(1), None),
    ],
)
def test_plain_columns(column: Any, kind: type | None) -> None:
    assert plain_class(column) is kind


def test_what_an_object_holds_is_kept_in_the_order_of_the_names() -> None:
    keeper = Keeper(sa.inspect(Plain), ["id", "name", "ratio"])
    new = Plain(id=1, name="abc")
    assert keeper.stored(sa.inspect(new)) == (("id", "name", "ratio"), (1, "abc", None), True)
    assert keeper.held(sa.inspect(new)) is None, "it does not hold all of them"
    new.ratio = float("nan")
    assert keeper.stored(sa.inspect(new)) is None
    held = keeper.held(sa.inspect(new))
    assert held is not None
    assert (held[1][:2], held[2]) == ((1, "abc"), False)
    assert keeper.stored(sa.inspect(Plain(name="no key"))) is None
    assert not Keeper(sa.inspect(Mailed), ["id", "mail"]).able
