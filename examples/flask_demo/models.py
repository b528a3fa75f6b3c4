"""What is stored: users, projects, who is a member of which, and pages. Plain SQLAlchemy; nothing here is realtime."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, String, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all models."""


db = SQLAlchemy(model_class=Base)


class User(db.Model):
    """Somebody who can sign in, here by a click."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def can_read(self, project_id: int) -> bool:
        """Asked of the database each time, so that somebody who was removed stays out."""
        return db.session.get(Membership, (self.id, project_id)) is not None


class Project(db.Model):
    """Owns pages."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Membership(db.Model):
    """A user of a project."""

    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id), primary_key=True)


class Page(db.Model):
    """A row of the live table. ``private_notes`` is in every row, and in no browser."""

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id), index=True)
    position: Mapped[int]
    title: Mapped[str] = mapped_column(String(120))
    edited_by: Mapped[str]
    private_notes: Mapped[str]


def next_position(project_id: int) -> int:
    """Where a new page of a project goes: to the end."""
    return 1 + (db.session.scalar(select(func.max(Page.position)).filter_by(project_id=project_id)) or 0)


def prepare() -> None:
    """Make the tables and, the first time, fill them. Needs an application context."""
    if db.engine.dialect.name == "sqlite":
        # Readers and a writer then work at the same time; the file remembers it.
        db.session.execute(text("PRAGMA journal_mode=WAL"))
    db.create_all()
    if db.session.scalar(select(User.id).limit(1)) is None:
        for row in _first_rows():
            db.session.add(row)
            db.session.flush()  # one by one: no relationship says that a user comes before the membership
    db.session.commit()


def _first_rows() -> list[Base]:
    engine, notebook = "The Analytical Engine", "Ada's notebook"
    rows: list[Base] = [User(id=1, name="Ada"), User(id=2, name="Grace")]
    rows += [Project(id=1, name=engine), Project(id=2, name=notebook)]
    rows += [Membership(user_id=user, project_id=project) for user, project in ((1, 1), (2, 1), (1, 2))]
    shared = (
        "Cards for the numbers",
        "Cards for the operations",
        "The mill",
        "The store",
        "A moth in relay 70",
        "What it may compose",
    )
    titles = {1: shared, 2: ("Letter to Babbage", "Note G, third draft")}
    for project_id, pages in titles.items():
        for position, title in enumerate(pages, 1):
            author = "Ada" if project_id == 2 or position % 2 else "Grace"
            notes = f"For {author} alone: “{title}” is not ready."
            rows.append(Page(project_id=project_id, position=position, title=title, edited_by=author, private_notes=notes))
    return rows
