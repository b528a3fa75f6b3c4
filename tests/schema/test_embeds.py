"""What embedded relationships are: whose rows, which way they point, and which annotations name their schema."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqla_realtime.errors import SchemaUnsendable
from sqla_realtime.schema.embeds import Embed, embedded_schema, read_embed


class Base(DeclarativeBase):
    """Models of this module."""


class Team(Base):
    """The one side."""

    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    players: Mapped[list[Player]] = relationship(back_populates="team")
    loose: Mapped[list[Player]] = relationship(lazy="dynamic", viewonly=True)


class Player(Base):
    """The many side."""

    __tablename__ = "player"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    team: Mapped[Team] = relationship(back_populates="players")


class Out(BaseModel):
    """A schema of related rows."""

    id: int


@pytest.mark.parametrize(
    "annotation",
    [
        Out,
        Out | None,
        list[Out],
        tuple[Out, ...],
        set[Out],
        frozenset[Out],
        list[Out] | None,
        Annotated[list[Out], Field()],
    ],
)
def test_a_schema_is_found_in_an_annotation(annotation: Any) -> None:
    assert embedded_schema(annotation) is Out


@pytest.mark.parametrize("annotation", [int, Any, list[int], dict[str, Out], "Out", Out | int, list[Any], None])
def test_others_hold_none(annotation: Any) -> None:
    assert embedded_schema(annotation) is None


def test_which_side_refers_to_which() -> None:
    down = Embed((Team.players.property,), ("id",), opaque=False)
    assert (down.name, down.parent.class_, down.related.class_) == ("players", Team, Player)
    assert down.foreign_keys == {"team_id": "id"}
    assert down.local_keys == frozenset()
    up = Embed((Player.team.property,), ("id",), opaque=False)
    assert up.foreign_keys == {}
    assert up.local_keys == {"team_id"}
    assert up.association is None


def test_a_loader_that_gives_no_list_is_refused() -> None:
    with pytest.raises(SchemaUnsendable, match="lazy='dynamic'"):
        read_embed(Team.loose.property, list[Out], Out, ())


def test_a_schema_in_itself_is_refused() -> None:
    with pytest.raises(SchemaUnsendable, match="without an end"):
        read_embed(Team.players.property, list[Out], Out, (Out,))
