"""A schema with one of each: relations that the ORM and the database follow, inheritance, composite keys, filtered views."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from sqlalchemy import Computed, ForeignKey, ForeignKeyConstraint, literal_column, not_, or_
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqla_realtime.schema.publication import Publication


class Base(DeclarativeBase):
    """Models of the properties."""


class Team(Base):
    """Its projects go with it; that is the database's doing."""

    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")


class Project(Base):
    """Its pages stay without it."""

    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id", ondelete="CASCADE", onupdate="CASCADE"))
    name: Mapped[str] = mapped_column(default="")
    pages: Mapped[list[Page]] = relationship(back_populates="project", passive_deletes=True, order_by="Page.id")


class Page(Base):
    """Several views of one row, and columns that the database fills in."""

    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id", ondelete="SET NULL", onupdate="CASCADE"))
    published: Mapped[bool | None]
    title: Mapped[str] = mapped_column(default="")
    size: Mapped[int | None] = mapped_column(server_default="2")
    edits: Mapped[int] = mapped_column(server_default="0", onupdate=literal_column("edits + 1"))
    loud: Mapped[str | None] = mapped_column(Computed("title || '!'", persisted=True))
    project: Mapped[Project | None] = relationship(back_populates="pages")
    comments: Mapped[list[Comment]] = relationship(
        back_populates="page", cascade="all, delete-orphan", passive_deletes=True, order_by="Comment.id"
    )


class Comment(Base):
    """Dies with its page, by the ORM's hand or the database's."""

    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    page_id: Mapped[int | None] = mapped_column(ForeignKey("page.id", ondelete="CASCADE", onupdate="CASCADE"))
    text: Mapped[str] = mapped_column(default="")
    page: Mapped[Page | None] = relationship(back_populates="comments")


class Cell(Base):
    """A key of two columns that changes."""

    __tablename__ = "cell"
    x: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    y: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    grid: Mapped[int | None]
    value: Mapped[str] = mapped_column(default="")


class Mark(Base):
    """Follows a cell's key, which is also its channel."""

    __tablename__ = "mark"
    id: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int | None]
    y: Mapped[int | None]
    label: Mapped[str] = mapped_column(default="")
    __table_args__ = (ForeignKeyConstraint(["x", "y"], ["cell.x", "cell.y"], ondelete="SET NULL", onupdate="CASCADE"),)


class Node(Base):
    """A tree that the database fells."""

    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id", ondelete="CASCADE", onupdate="CASCADE"))
    name: Mapped[str] = mapped_column(default="")


class Animal(Base):
    """Joined inheritance."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    zoo: Mapped[int | None]
    name: Mapped[str] = mapped_column(default="")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    """Its leaf; its half of the row goes with the other."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True)
    tricks: Mapped[int | None] = mapped_column(default=0)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Item(Base):
    """Single-table inheritance, with a version counter."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    shelf: Mapped[int | None]
    label: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(server_default="1")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "item", "version_id_col": version}  # noqa: RUF012


class Book(Item):
    """Its leaf, in the same table."""

    length: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "book"}  # noqa: RUF012


class TeamOut(BaseModel):
    id: int
    name: str


class ProjectOut(BaseModel):
    id: int
    team_id: int | None
    name: str


class PageOut(BaseModel):
    id: int
    project_id: int | None
    published: bool | None
    title: str
    size: int | None
    edits: int
    loud: str


class PageTitle(BaseModel):
    id: int
    title: str


class CommentOut(BaseModel):
    id: int
    page_id: int | None
    text: str


class CellOut(BaseModel):
    x: int
    y: int
    value: str


class MarkOut(BaseModel):
    id: int
    x: int | None
    label: str


class NodeOut(BaseModel):
    id: int
    parent_id: int | None
    name: str


class AnimalOut(BaseModel):
    id: int
    name: str


class DogOut(BaseModel):
    id: int
    name: str
    tricks: int | None


class ItemOut(BaseModel):
    id: int
    label: str
    version: int


class BookOut(BaseModel):
    id: int
    label: str
    length: int | None


def publications() -> list[Publication]:
    """All that is published, made anew."""
    return [
        Publication(Team, TeamOut, "teams"),
        Publication(Project, ProjectOut, "teams/{team_id}/projects"),
        Publication(Page, PageOut, "projects/{project_id}/pages"),
        Publication(Page, PageTitle, "public", where=Page.published.is_(True)),
        Publication(Page, PageTitle, "drafts:{project_id}", where=not_(Page.published)),
        Publication(Page, PageTitle, "heavy", where=or_(Page.size > 2, Page.title == "b")),
        Publication(Comment, CommentOut, "pages/{page_id}/comments"),
        Publication(Cell, CellOut, "grids/{grid}"),
        Publication(Mark, MarkOut, "columns/{x}"),
        Publication(Mark, MarkOut, "marks"),
        Publication(Node, NodeOut, "trees/{parent_id}"),
        Publication(Node, NodeOut, "nodes"),
        Publication(Animal, AnimalOut, "zoos/{zoo}/animals"),
        Publication(Dog, DogOut, "zoos/{zoo}/dogs"),
        Publication(Item, ItemOut, "shelves/{shelf}"),
        Publication(Book, BookOut, "books", where=Book.length > 1),
    ]


# What a change of one of them can reach. Only these channels may be in doubt after a statement that is not followed.
FAMILIES: list[tuple[type[Base], ...]] = [(Team, Project, Page, Comment), (Cell, Mark), (Node,), (Animal, Dog), (Item, Book)]
MODELS: list[type[Base]] = [model for family in FAMILIES for model in family]

# By model: the attributes that may be set to small numbers, texts and truths, and the one that decides the channel.
NUMBERS = {Page: "size", Cell: "grid", Dog: "tricks", Book: "length"}
TEXTS = {
    Team: "name", Project: "name", Page: "title", Comment: "text", Cell: "value", Mark: "label", Node: "name",
    Animal: "name", Dog: "name", Item: "label", Book: "label",
}  # fmt: skip
PLACES: dict[type[Base], tuple[str, type[Base] | None]] = {
    Project: ("team_id", Team), Page: ("project_id", Project), Comment: ("page_id", Page), Cell: ("grid", None),
    Node: ("parent_id", Node), Animal: ("zoo", None), Dog: ("zoo", None), Item: ("shelf", None), Book: ("shelf", None),
}  # fmt: skip

START: list[tuple[type[Base], list[dict[str, Any]]]] = [
    (Team, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]),
    (Project, [{"id": n, "team_id": 1 + n // 3, "name": "abc"[n - 1]} for n in (1, 2, 3)]),
    (
        Page,
        [
            {"id": 1, "project_id": 1, "published": True, "title": "a", "size": 1, "edits": 0},
            {"id": 2, "project_id": 1, "published": False, "title": "b", "size": 2, "edits": 0},
            {"id": 3, "project_id": 2, "published": None, "title": "c", "size": 3, "edits": 0},
            {"id": 4, "project_id": None, "published": True, "title": "a", "size": None, "edits": 0},
        ],
    ),
    (Comment, [{"id": n, "page_id": 1 + n // 3, "text": "abc"[n - 1]} for n in (1, 2, 3)]),
    (
        Cell,
        [
            {"x": 1, "y": 1, "grid": 1, "value": "a"},
            {"x": 1, "y": 2, "grid": 1, "value": "b"},
            {"x": 2, "y": 1, "grid": 2, "value": "c"},
        ],
    ),
    (
        Mark,
        [
            {"id": 1, "x": 1, "y": 1, "label": "a"},
            {"id": 2, "x": 1, "y": 2, "label": "b"},
            {"id": 3, "x": None, "y": None, "label": "c"},
        ],
    ),
    (
        Node,
        [
            {"id": 1, "parent_id": None, "name": "a"},
            {"id": 2, "parent_id": 1, "name": "b"},
            {"id": 3, "parent_id": 2, "name": "c"},
            {"id": 4, "parent_id": 1, "name": "a"},
        ],
    ),
    (
        Animal,
        [
            {"id": 1, "kind": "animal", "zoo": 1, "name": "a"},
            {"id": 2, "kind": "dog", "zoo": 1, "name": "b"},
            {"id": 3, "kind": "dog", "zoo": 2, "name": "c"},
        ],
    ),
    (Dog, [{"id": 2, "tricks": 1}, {"id": 3, "tricks": 2}]),
    (
        Item,
        [
            {"id": 1, "kind": "item", "shelf": 1, "label": "a", "version": 1, "length": None},
            {"id": 2, "kind": "book", "shelf": 1, "label": "b", "version": 1, "length": 2},
            {"id": 3, "kind": "book", "shelf": 2, "label": "c", "version": 1, "length": 1},
        ],
    ),
]
