"""What mappers say about rows: lines of inheritance, roots, discriminators, tables, late foreign keys."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import NullType

from sqla_realtime.schema.mapping import akin, kinds_of, late_keys, line_of, python_type_of, root_of, tables_of


class Base(DeclarativeBase):
    """Models of this module."""


class Animal(Base):
    """A root with a discriminator."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    friend_id: Mapped[int | None] = mapped_column(ForeignKey("animal.id"))
    friend: Mapped[Animal | None] = relationship(remote_side=id, post_update=True)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    """A table of its own, joined."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Cat(Animal):
    """The root's table."""

    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


class Stone(Base):
    """None of them."""

    __tablename__ = "stone"
    id: Mapped[int] = mapped_column(primary_key=True)


class Pebble(Stone):
    """Concrete: rows that its parent's SELECT does not find."""

    __tablename__ = "pebble"
    id: Mapped[int] = mapped_column(primary_key=True)
    __mapper_args__ = {"concrete": True}  # noqa: RUF012


ANIMAL, DOG, CAT, STONE, PEBBLE = map(inspect, (Animal, Dog, Cat, Stone, Pebble))


def test_lines_and_roots() -> None:
    assert list(line_of(DOG)) == [DOG, ANIMAL]
    assert list(line_of(PEBBLE)) == [PEBBLE]
    assert (root_of(CAT), root_of(PEBBLE), root_of(STONE)) == (ANIMAL, PEBBLE, STONE)


def test_kin_are_whatever_one_row_may_be() -> None:
    assert akin(DOG, ANIMAL)
    assert akin(ANIMAL, CAT)
    assert not akin(DOG, CAT)
    assert not akin(STONE, PEBBLE)


def test_what_decides_a_class() -> None:
    assert kinds_of(ANIMAL) == {"kind"}
    assert kinds_of(STONE) == frozenset()
    assert kinds_of(PEBBLE) == frozenset()


def test_tables_and_late_keys() -> None:
    assert [table.name for table in tables_of(DOG)] == ["animal", "dog"]
    assert set(late_keys(ANIMAL)) == {"friend_id"}
    assert set(late_keys(STONE)) == set()


def test_the_class_of_a_columns_values() -> None:
    assert python_type_of(Column("size", Integer)) is int
    assert python_type_of(Column("shape", NullType())) is object
