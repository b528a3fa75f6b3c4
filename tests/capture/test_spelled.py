"""Which rows a form can read: those of one table, whose class the row itself tells."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from sqlalchemy import ForeignKey, case, literal
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.capture.spelled import Form
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry


class Base(DeclarativeBase):
    """Of this module alone."""


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)


class Joined(Plain):
    __tablename__ = "joined"
    id: Mapped[int] = mapped_column(ForeignKey("plain.id"), primary_key=True)


class Alone(Base):
    __tablename__ = "alone"
    id: Mapped[int] = mapped_column(primary_key=True)


class Sorted(Base):
    __tablename__ = "sorted"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012


class Computed(Base):
    __tablename__ = "computed"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column()
    __mapper_args__ = {"polymorphic_on": case((size > 5, literal("big")), else_=literal("small"))}  # noqa: RUF012


class Out(BaseModel):
    id: int


def form(model: Any) -> Form:
    registry = Registry()
    registry.publish(Publication(model, Out, "rows"))
    return Form(registry, model.__mapper__, model.__table__)


def test_rows_of_one_table_are_whole_and_others_are_not() -> None:
    assert [form(model).readable for model in (Alone, Plain, Joined)] == [True, False, False]


def test_a_class_that_a_column_decides_is_known_and_one_that_an_expression_decides_is_not() -> None:
    assert [form(model).readable for model in (Alone, Sorted, Computed)] == [True, True, False]
