"""What is stored: notes. Plain SQLAlchemy with asyncio; nothing here is realtime."""

from __future__ import annotations

import os

from sqlalchemy import String
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from examples.common import demo_folder

FOLDER = demo_folder("fastapi_demo")
engine = create_async_engine(f"sqlite+aiosqlite:///{FOLDER / 'demo.db'}")
Session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The base of all models."""


class Note(Base):
    """A row of the live table. ``private_notes`` is in every row, and in no browser."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    edited_by: Mapped[str]
    worker: Mapped[int] = mapped_column(default=os.getpid)  # the process that wrote it
    private_notes: Mapped[str]
