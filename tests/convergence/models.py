"""What the oracle's application is about: notes in rooms, of owners, some public; pairs that only change together."""

from __future__ import annotations

from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# What no frame may hold, in a column that no schema has.
SECRET = "s3cr3t"  # noqa: S105
OWNERS = ("ann", "bob")
ROOMS = 3


class Base(DeclarativeBase):
    """The tables of the oracle."""


class Note(Base):
    """In a room for everyone, with its owner's eyes only in the other channel, and public or not."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[int]
    owner: Mapped[str]
    public: Mapped[bool]
    text: Mapped[str]
    secret: Mapped[str] = mapped_column(default=SECRET)


class Pair(Base):
    """Every transaction gives all of them one stamp: whoever sees two has seen a torn commit."""

    __tablename__ = "pair"
    id: Mapped[int] = mapped_column(primary_key=True)
    stamp: Mapped[int]


class Ban(Base):
    """An owner who may not see his own notes for the time being."""

    __tablename__ = "ban"
    owner: Mapped[str] = mapped_column(primary_key=True)


class RoomOut(BaseModel):
    """What a room shows."""

    id: int
    room: int
    text: str


class MineOut(BaseModel):
    """What an owner sees."""

    id: int
    owner: str
    public: bool
    text: str


class PublicOut(BaseModel):
    """What everyone sees."""

    id: int
    text: str


class PairOut(BaseModel):
    """All of a pair."""

    id: int
    stamp: int


FIELDS = {
    "rooms": set(RoomOut.model_fields),
    "mine": set(MineOut.model_fields),
    "public": set(PublicOut.model_fields),
    "pairs": set(PairOut.model_fields),
}
CHANNELS = [*(f"rooms/{room}" for room in range(ROOMS)), *(f"mine/{owner}" for owner in OWNERS), "public", "pairs"]
