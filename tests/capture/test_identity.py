"""Which row it is: composite and changing keys, inheritance of every kind, rewritten discriminators, and odd mappings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    case,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    make_transient,
    make_transient_to_detached,
    mapped_column,
    registry,
)

from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture

# SQLAlchemy warns of discriminators that are rewritten by hand.
pytestmark = pytest.mark.filterwarnings("ignore:Flushing object .* with incompatible polymorphic identity")


class Base(DeclarativeBase):
    """Models of this module."""


class Seat(Base):
    """A key of two columns."""

    __tablename__ = "seat"
    row: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    taken: Mapped[bool] = mapped_column(default=False)


class SeatOut(BaseModel):
    """All of it."""

    row: int
    name: str
    taken: bool


class Ticket(Base):
    """Refers to a seat, and moves with it."""

    __tablename__ = "ticket"
    id: Mapped[int] = mapped_column(primary_key=True)
    seat_row: Mapped[int | None]
    seat_name: Mapped[str | None]
    __table_args__ = (ForeignKeyConstraint(["seat_row", "seat_name"], ["seat.row", "seat.name"], onupdate="CASCADE"),)


class Animal(Base):
    """Joined inheritance."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    """A leaf with a table."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    tricks: Mapped[int] = mapped_column(default=0)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Cat(Animal):
    """A leaf without one."""

    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


class Lion(Cat):
    """A leaf of a leaf."""

    __mapper_args__ = {"polymorphic_identity": "lion"}  # noqa: RUF012


class Boat(ConcreteBase, Base):
    """Concrete inheritance: a table for each class, and keys that meet."""

    __tablename__ = "boat"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    __mapper_args__ = {"polymorphic_identity": "boat", "concrete": True}  # noqa: RUF012


class Ship(Boat):
    """Read along with boats."""

    __tablename__ = "ship"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    masts: Mapped[int] = mapped_column(default=3)
    __mapper_args__ = {"polymorphic_identity": "ship", "concrete": True}  # noqa: RUF012


class Tool(Base):
    """Concrete inheritance without a union."""

    __tablename__ = "tool"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")


class Saw(Tool):
    """Not read along with tools."""

    __tablename__ = "saw"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    __mapper_args__ = {"concrete": True}  # noqa: RUF012


class Part(Base):
    """Joined inheritance without a discriminator: what is loaded as a part is a part."""

    __tablename__ = "part"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")


class Screw(Part):
    """A part with a length."""

    __tablename__ = "screw"
    id: Mapped[int] = mapped_column(ForeignKey("part.id"), primary_key=True)
    length: Mapped[int] = mapped_column(default=1)


class Sized(Base):
    """A class that is computed."""

    __tablename__ = "sized"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    size: Mapped[int] = mapped_column()
    kind = column_property(case((size > 10, "large"), else_="small"))
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "small"}  # noqa: RUF012


class Large(Sized):
    """Above ten."""

    __mapper_args__ = {"polymorphic_identity": "large"}  # noqa: RUF012


class Out(BaseModel):
    """What all of them have."""

    id: int
    name: str


class DogOut(BaseModel):
    """What dogs have."""

    id: int
    name: str
    tricks: int


@pytest.fixture
def make(engine: Engine) -> Callable[..., Capture]:
    Base.metadata.create_all(engine)
    return lambda *publications: Capture(engine, *publications)


def brief(capture: Capture) -> list[list[str]]:
    """What was told, without records."""
    return [[line.split(" {")[0] for line in lines] for lines in capture.told()]


def on(model: type[Any], channel: str, schema: type[BaseModel] = Out, **options: Any) -> Publication:
    return Publication(model, schema, channel, **options)


def test_composite_keys_change_in_part(make: Callable[..., Capture]) -> None:
    capture = make(on(Seat, "seats/{row}", SeatOut))
    with capture.sessions.begin() as session:
        session.add_all([Seat(row=1, name="a"), Seat(row=1, name="b,c%")])
    assert brief(capture) == [["create seats/1 Seat 1,a", "create seats/1 Seat 1,b%2Cc%25"]]
    with capture.sessions.begin() as session:
        session.get_one(Seat, (1, "a")).name = "z"
        session.get_one(Seat, (1, "b,c%")).row = 2
    assert brief(capture) == [
        [
            "destroy seats/1 Seat 1,a",
            "create seats/1 Seat 1,z",
            "destroy seats/1 Seat 1,b%2Cc%25",
            "create seats/2 Seat 2,b%2Cc%25",
        ]
    ]
    with capture.sessions.begin() as session:
        seat = session.get_one(Seat, (1, "z"))
        seat.name = "y"
        session.flush()
        seat.name = "z"
        seat.taken = True
    [[line]] = brief(capture)
    assert line.startswith("update seats/1 Seat 1,z +")
    assert "taken" in line


def test_keys_that_are_swapped(make: Callable[..., Capture]) -> None:
    capture = make(on(Animal, "animals"))
    with capture.sessions.begin() as session:
        session.add_all([Cat(id=1, name="one"), Cat(id=2, name="two")])
    capture.commits()
    with capture.sessions.begin() as session:
        one, two = session.get_one(Cat, 1), session.get_one(Cat, 2)
        for cat, key in ((one, 3), (two, 1), (one, 2)):
            cat.id = key
            session.flush()
    assert capture.told() == [
        [
            'update animals Cat 1 +name {"id":1,"name":"two"}',
            'update animals Cat 2 +name {"id":2,"name":"one"}',
        ]
    ]


def test_a_row_that_takes_over_the_key_of_another(make: Callable[..., Capture]) -> None:
    capture = make(on(Seat, "seats", SeatOut))
    with capture.sessions.begin() as session:
        session.add_all([Seat(row=1, name="a"), Seat(row=2, name="b")])
    capture.commits()
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Seat, (1, "a")))
        session.flush()
        moved = session.get_one(Seat, (2, "b"))
        moved.row, moved.name, moved.taken = 1, "a", True
    [told] = brief(capture)
    assert sorted(told) == ["destroy seats Seat 2,b", "update seats Seat 1,a +taken"]


@pytest.mark.parametrize("leaf", [Dog, Cat, Lion])
def test_a_leaf_published_by_its_base_by_itself_and_by_both(make: Callable[..., Capture], leaf: type[Any]) -> None:
    capture = make(on(Animal, "animals"), on(leaf, "leaves"))
    name = leaf.__name__
    with capture.sessions.begin() as session:
        session.add_all([Animal(id=1, name="a"), leaf(id=2, name="b")])
    assert brief(capture) == [["create animals Animal 1", f"create animals {name} 2", f"create leaves {name} 2"]]
    with capture.sessions.begin() as session:
        session.get_one(Animal, 1).name = "c"
        session.get_one(Animal, 2).name = "d"
    assert brief(capture) == [
        ["update animals Animal 1 +name", f"update animals {name} 2 +name", f"update leaves {name} 2 +name"]
    ]
    with capture.sessions.begin() as session:
        for animal in session.query(Animal).order_by(Animal.id):
            session.delete(animal)
    [told] = brief(capture)
    assert sorted(told) == ["destroy animals Animal 1", f"destroy animals {name} 2", f"destroy leaves {name} 2"]


def test_the_columns_of_a_leaf(make: Callable[..., Capture]) -> None:
    capture = make(on(Animal, "animals"), on(Dog, "dogs", DogOut, name="Hound"))
    with capture.sessions.begin() as session:
        session.add_all([Dog(id=1, name="a"), Cat(id=2)])
    capture.commits()
    with capture.sessions.begin() as session:
        session.get_one(Animal, 1).tricks = 2
    assert capture.told() == [['update dogs Hound 1 +tricks {"id":1,"name":"a","tricks":2}']]
    with capture.sessions.begin() as session:
        session.execute(update(Dog).values(tricks=3))
    assert capture.told() == [['update dogs Hound 1 +tricks {"id":1,"name":"a","tricks":3}']]


REWRITTEN = [
    "destroy animals Cat 1",
    "create animals Lion 1",
    "destroy cats Cat 1",
    "create cats Lion 1",
    "create lions Lion 1",
]
BACK = [
    "destroy animals Lion 1",
    "create animals Cat 1",
    "destroy cats Lion 1",
    "create cats Cat 1",
    "destroy lions Lion 1",
]


@pytest.mark.parametrize("how", ["object", "update", "core", "object, in two flushes", "object, reloaded"])
def test_a_discriminator_that_was_rewritten(make: Callable[..., Capture], how: str) -> None:
    """The message's class is what the next load yields."""
    capture = make(on(Animal, "animals"), on(Cat, "cats"), on(Lion, "lions"))
    with capture.sessions.begin() as session:
        session.add(Cat(id=1, name="a"))
    capture.commits()
    with capture.sessions.begin() as session:
        if how == "update":
            session.execute(update(Animal).where(Animal.id == 1).values(kind="lion"))
        elif how == "core":
            session.execute(update(Animal.__table__).values(kind="lion"))
        else:
            session.get_one(Animal, 1).kind = "lion"
        if "two" in how:
            session.flush()
            session.get_one(Animal, 1).name = "b"
        elif "reloaded" in how:
            session.flush()
            session.expunge_all()
            lion = session.get_one(Animal, 1)
            assert type(lion) is Lion
            lion.name = "b"
    [told] = brief(capture)
    assert sorted(told) == sorted(REWRITTEN)
    with capture.sessions.begin() as session:
        session.get_one(Animal, 1).kind = "cat"
    [told] = brief(capture)
    assert sorted(told) == sorted(BACK)


@pytest.mark.parametrize("how", ["object", "update"])
def test_a_row_that_becomes_one_of_a_published_class(make: Callable[..., Capture], how: str) -> None:
    capture = make(on(Lion, "lions"))
    with capture.sessions.begin() as session:
        session.add_all([Cat(id=1, name="a"), Cat(id=2, name="b")])
    assert capture.silent()
    with capture.sessions.begin() as session:
        session.get_one(Animal, 2).name = "c"
    assert capture.silent()
    with capture.sessions.begin() as session:
        if how == "object":
            session.get_one(Animal, 1).kind = "lion"
        else:
            session.execute(update(Animal).where(Animal.id == 1).values(kind="lion"))
    assert capture.told() == [['create lions Lion 1 {"id":1,"name":"a"}']]
    with capture.sessions.begin() as session:
        session.get_one(Animal, 1).kind = "cat"
    assert capture.told() == [["destroy lions Lion 1"]]


def test_an_object_born_with_the_discriminator_of_another_class(make: Callable[..., Capture]) -> None:
    capture = make(on(Animal, "animals"), on(Lion, "lions"))
    with capture.sessions.begin() as session:
        session.add(Cat(id=1, name="a", kind="lion"))
        session.add(second := Cat(id=2))
        session.flush()
        second.kind = "lion"
    [told] = brief(capture)
    assert told == ["create animals Lion 1", "create lions Lion 1", "create animals Lion 2", "create lions Lion 2"]


def test_a_row_replaced_by_one_of_another_class(make: Callable[..., Capture]) -> None:
    capture = make(on(Animal, "animals"), on(Dog, "dogs", DogOut))
    with capture.sessions.begin() as session:
        session.add(Dog(id=1, name="a"))
    capture.commits()
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Animal, 1))
        session.flush()
        session.add(Cat(id=1, name="b"))
    [told] = brief(capture)
    assert sorted(told) == ["create animals Cat 1", "destroy animals Dog 1", "destroy dogs Dog 1"]


def test_a_class_that_is_computed(make: Callable[..., Capture]) -> None:
    capture = make(on(Sized, "sized"), on(Large, "large"))
    with capture.sessions.begin() as session:
        session.add(Sized(id=1, name="a", size=1))
    assert brief(capture) == [["create sized Sized 1"]]
    with capture.sessions.begin() as session:
        session.get_one(Sized, 1).size = 11
    [told] = brief(capture)
    assert sorted(told) == ["create large Large 1", "create sized Large 1", "destroy sized Sized 1"]


def test_concrete_classes_have_keys_of_their_own(make: Callable[..., Capture]) -> None:
    capture = make(on(Boat, "boats"), on(Ship, "ships"))
    with capture.sessions.begin() as session:
        session.add_all([Boat(id=1, name="a"), Ship(id=1, name="b")])
    [told] = brief(capture)
    assert sorted(told) == ["create boats Boat 1", "create boats Ship 1", "create ships Ship 1"]
    with capture.sessions.begin() as session:
        for boat in session.scalars(select(Boat)).all():
            if type(boat) is Ship:
                session.delete(boat)
            else:
                boat.name = "c"
    [told] = brief(capture)
    assert sorted(told) == ["destroy boats Ship 1", "destroy ships Ship 1", "update boats Boat 1 +name"]


def test_a_concrete_class_that_its_base_does_not_read(make: Callable[..., Capture]) -> None:
    capture = make(on(Tool, "tools"))
    with capture.sessions.begin() as session:
        session.add_all([Tool(id=1, name="a"), Saw(id=1, name="b")])
    assert capture.told() == [['create tools Tool 1 {"id":1,"name":"a"}']]
    with capture.sessions.begin() as session:
        session.get_one(Saw, 1).name = "c"
    assert capture.silent()


@pytest.mark.parametrize("order", [(Part, Screw), (Screw, Part)])
def test_a_hierarchy_without_a_discriminator(make: Callable[..., Capture], order: Any) -> None:
    """Rows go by the class that the publication's own SELECT loads; a write that does not say what it wrote is doubt."""
    capture = make(*(on(model, f"{model.__name__.lower()}s") for model in order))
    with capture.sessions.begin() as session:
        session.add_all([Screw(id=1), Part(id=2)])
    [told] = brief(capture)
    assert sorted(told) == ["create parts Part 1", "create parts Part 2", "create screws Screw 1"]
    with capture.sessions.begin() as session:
        session.get_one(Screw, 1).name = "b"
    [told] = brief(capture)
    assert sorted(told) == ["update parts Part 1 +name", "update screws Screw 1 +name"]
    with capture.sessions.begin() as session:
        session.get_one(Part, 1).name = "c"
    assert brief(capture) == [["update parts Part 1 +name", "invalidate parts", "invalidate screws"]]
    with capture.sessions.begin() as session:
        session.execute(update(Part).where(Part.id == 1).values(name="d"))
    assert brief(capture) == [["update parts Part 1 +name", "invalidate parts", "invalidate screws"]]
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Screw, 1))
    [told] = brief(capture)
    assert sorted(told) == ["destroy parts Part 1", "destroy screws Screw 1"]


def test_a_published_leaf_that_is_written_through_a_base_that_is_not(make: Callable[..., Capture]) -> None:
    capture = make(on(Screw, "screws"))
    with capture.sessions.begin() as session:
        session.add_all([Screw(id=1), Part(id=2)])
    assert brief(capture) == [["create screws Screw 1"]]
    with capture.sessions.begin() as session:
        session.get_one(Part, 1).name = "c"
    assert brief(capture) == [["invalidate screws"]]


def test_merge(make: Callable[..., Capture]) -> None:
    capture = make(on(Animal, "animals"))
    with capture.sessions.begin() as session:
        session.merge(Cat(id=1, name="a"))
    assert brief(capture) == [["create animals Cat 1"]]
    with capture.sessions.begin() as session:
        session.merge(Cat(id=1, name="a"))
    assert capture.silent()
    with capture.sessions.begin() as session:
        session.merge(Cat(id=1, name="b"))
    assert brief(capture) == [["update animals Cat 1 +name"]]


def test_objects_that_leave_the_session_before_the_commit(make: Callable[..., Capture]) -> None:
    capture = make(on(Animal, "animals"))
    with capture.sessions.begin() as session:
        session.add_all([one := Cat(id=1, name="a"), two := Cat(id=2, name="b"), three := Cat(id=3, name="c")])
        session.flush()
        session.expunge(one)
        one.name = "unsaved"
        make_transient(two)
        two.id = 4
        session.add(two)
        session.delete(three)
        session.flush()
        make_transient(three)
    assert capture.told() == [
        [
            'create animals Cat 1 {"id":1,"name":"a"}',
            'create animals Cat 2 {"id":2,"name":"b"}',
            'create animals Cat 4 {"id":4,"name":"b"}',
        ]
    ]
    ghost = Cat(id=1, name="a", kind="cat")
    make_transient_to_detached(ghost)
    with capture.sessions.begin() as session:
        session.add(ghost)
        ghost.name = "z"
    assert capture.told() == [['update animals Cat 1 +name {"id":1,"name":"z"}']]
    assert inspect(ghost).session is None


def test_imperative_mappings(engine: Engine) -> None:
    mappings = registry()
    table = Table("thing", mappings.metadata, Column("id", Integer, primary_key=True), Column("label", String))

    class Thing:
        def __init__(self, **values: Any) -> None:
            for name, value in values.items():
                setattr(self, name, value)

    mappings.map_imperatively(Thing, table, properties={"name": table.c.label})
    mappings.metadata.create_all(engine)
    capture = Capture(engine, on(Thing, "things"))
    with capture.sessions.begin() as session:
        session.add(Thing(id=1, name="a"))
    with capture.sessions.begin() as session:
        session.get_one(Thing, 1).name = "b"
        session.execute(text("SELECT 1"))
    assert capture.told() == [
        ['create things Thing 1 {"id":1,"name":"a"}'],
        ['update things Thing 1 +name {"id":1,"name":"b"}'],
    ]
    mappings.dispose()


def test_dataclasses(engine: Engine) -> None:
    class Data(MappedAsDataclass, DeclarativeBase):
        """Instances without a hash, and with defaults of their own."""

    class Note(Data):
        __tablename__ = "data_note"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(default="none")

    Data.metadata.create_all(engine)
    capture = Capture(engine, on(Note, "notes"))
    with capture.sessions.begin() as session:
        session.add_all([Note(id=1), Note(id=2, name="b")])
    with capture.sessions.begin() as session:
        session.get_one(Note, 1).name = "a"
        session.delete(session.get_one(Note, 2))
    assert [sorted(lines) for lines in capture.told()] == [
        ['create notes Note 1 {"id":1,"name":"none"}', 'create notes Note 2 {"id":2,"name":"b"}'],
        ["destroy notes Note 2", 'update notes Note 1 +name {"id":1,"name":"a"}'],
    ]


@pytest.fixture
def two(engine: Engine) -> tuple[type[Any], type[Any]]:
    class Own(DeclarativeBase):
        pass

    class Full(Own):
        __tablename__ = "shared"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        more: Mapped[str | None]

    class Slim(Own):
        __table__ = Full.__table__
        __mapper_args__ = {"include_properties": ["id", "name"]}  # noqa: RUF012

    Own.metadata.create_all(engine)
    return Full, Slim


def test_two_classes_on_one_table(engine: Engine, two: tuple[type[Any], type[Any]]) -> None:
    """A row is told as the class that it was written through; the channels of the other class load it anew."""
    full, slim = two
    capture = Capture(engine, on(full, "full"), on(slim, "slim"))
    for writer, other in ((full, "slim"), (slim, "full")):
        with capture.sessions.begin() as session:
            session.add(writer(id=1, name="a"))
        with capture.sessions.begin() as session:
            session.get_one(writer, 1).name = "b"
        with capture.sessions.begin() as session:
            session.delete(session.get_one(writer, 1))
        mine = writer.__name__
        assert brief(capture) == [
            [f"create {mine.lower()} {mine} 1", f"invalidate {other}"],
            [f"update {mine.lower()} {mine} 1 +name", f"invalidate {other}"],
            [f"destroy {mine.lower()} {mine} 1", f"invalidate {other}"],
        ]


def test_a_class_that_is_not_published_on_the_table_of_one_that_is(engine: Engine, two: tuple[type[Any], type[Any]]) -> None:
    full, slim = two
    capture = Capture(engine, on(slim, "slim"))
    with capture.sessions.begin() as session:
        session.add(full(id=1, name="a"))
    assert brief(capture) == [["invalidate slim"]]
    with capture.sessions.begin() as session:
        session.execute(update(full).values(name="b"))
    assert brief(capture) == [["update slim Slim 1 +name"]]
