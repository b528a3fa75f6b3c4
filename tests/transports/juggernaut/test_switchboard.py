"""How records are labelled for Juggernaut, by what their publications say."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.protocol.juggernaut import Label
from sqla_realtime.schema.publication import Publication
from sqla_realtime.transports.juggernaut.switchboard import label_of


class Base(DeclarativeBase):
    """Models of this module."""


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]


class Big(Base):
    __tablename__ = "big"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class Other(Base):
    __tablename__ = "other"
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int]


class Pair(Base):
    __tablename__ = "pair"
    id: Mapped[int] = mapped_column(primary_key=True)
    half: Mapped[int] = mapped_column(primary_key=True)


class PlainOut(BaseModel):
    id: int
    url: str


class TextOut(BaseModel):
    id: str


class IdOut(BaseModel):
    id: int


class NumberOut(BaseModel):
    id: int = Field(validation_alias="number")


class PairOut(BaseModel):
    id: int
    half: int


@pytest.mark.parametrize(
    ("model", "schema", "label"),
    [
        (Plain, PlainOut, Label("/o", keyed=True, number=True, names={"url": "url_"})),
        (Plain, TextOut, Label("/o", keyed=True, number=False)),
        (Big, IdOut, Label("/o", keyed=True, number=False)),
        (Other, IdOut, Label("/o", keyed=False, number=True)),
        (Other, NumberOut, Label("/o", keyed=True, number=True)),
        (Pair, PairOut, Label("/o", keyed=False, number=True)),
    ],
)
def test_a_label(model: Any, schema: Any, label: Label) -> None:
    assert label_of(Publication(cast(type, model), schema, "rows"), "/o") == label
