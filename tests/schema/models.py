"""Models with every kind of attribute that a publication may meet."""

from __future__ import annotations

import datetime
import enum
import uuid
from decimal import Decimal

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, func
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship, synonym


class Base(DeclarativeBase):
    """A registry of its own."""


class Colour(enum.Enum):
    RED = "#f00"
    GREEN = "#0f0"
    ROUGE = "#f00"  # noqa: PIE796 - another name of RED


class Team(Base):
    """Nothing special."""

    __tablename__ = "team"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str]
    users: Mapped[list[User]] = relationship(back_populates="team")


class User(Base):
    """Everything at once."""

    __tablename__ = "member"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"), type_=BigInteger)
    name: Mapped[str] = mapped_column("user_name")
    password_hash: Mapped[str]
    access: Mapped[str] = mapped_column("api_key")
    born: Mapped[datetime.date | None]
    seen: Mapped[datetime.datetime | None] = mapped_column(onupdate=func.now())
    colour: Mapped[Colour]
    active: Mapped[bool]
    balance: Mapped[Decimal]
    ratio: Mapped[float]
    big: Mapped[int] = mapped_column(BigInteger)
    extra: Mapped[dict[str, object]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column()
    team: Mapped[Team | None] = relationship(back_populates="users")
    shout = column_property(func.upper("x"))
    login = synonym("password_hash")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012

    @hybrid_property
    def label(self) -> str:
        return f"<{self.name}>"

    @property
    def initial(self) -> str:
        return self.name[:1]


class Animal(Base):
    """An inheritance tree in one table and a joined one."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    zoo: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Cat(Animal):
    __tablename__ = "cat"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    lives: Mapped[int] = mapped_column(default=9)
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


class Seat(Base):
    """A composite key, in another order than its columns."""

    __tablename__ = "seat"
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    row: Mapped[str] = mapped_column(primary_key=True)
    hall: Mapped[str] = mapped_column(default="A")
