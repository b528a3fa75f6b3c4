"""The models that most tests use: pages of projects, with a column that no schema shows."""

from __future__ import annotations

from pydantic import BaseModel
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """One metadata for all of them."""


class Project(Base):
    """Owns pages; deleting it through the ORM deletes them."""

    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    pages: Mapped[list[Page]] = relationship(back_populates="project", cascade="all, delete-orphan")


class Page(Base):
    """A row of ``projects/{project_id}/pages``. ``notes`` never leaves the house."""

    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id"))
    title: Mapped[str] = mapped_column(default="")
    size: Mapped[int] = mapped_column(server_default="7")
    notes: Mapped[str | None]
    project: Mapped[Project | None] = relationship(back_populates="pages")


class PageOut(BaseModel):
    """What a browser may see of a page."""

    id: int
    project_id: int | None
    title: str
    size: int


class Account(Base):
    """Money, for sums that no transaction changes."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    bank: Mapped[int] = mapped_column(default=1)
    balance: Mapped[int]


class AccountOut(BaseModel):
    """All of it."""

    id: int
    bank: int
    balance: int
