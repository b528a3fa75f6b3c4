"""docs/writes.md: for each way to change a row, what is sent and how many statements it costs, measured here.

``UPDATE_DOCS=1`` writes the table anew; otherwise it must be the one that stands there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sqla_realtime.capture.targets import resolve
from tests.support.capture import Capture
from tests.support.databases import postgres_engine, sqlite_engine
from tests.support.models import Base, Page, Project

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writes.md"
BEGIN, END = "<!-- table: made by tests/capture/test_ways_to_write.py -->\n", "<!-- end of table -->\n"

Write = Callable[[Session], Any]


def upsert(session: Session) -> None:
    dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[session.get_bind().dialect.name]
    statement = dialect.insert(Page)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"title": statement.excluded.title})
    session.execute(statement, [{"id": 1, "project_id": 5, "title": "up"}, {"id": 9, "project_id": 5, "title": "new"}])


def rename(session: Session) -> None:
    session.get_one(Page, 1).title = "b"


def move(session: Session) -> None:
    session.get_one(Page, 1).project_id = 6


def rekey(session: Session) -> None:
    session.get_one(Page, 1).id = 77


def add_two(session: Session) -> None:
    session.add_all([Page(id=8, project_id=5), Page(id=9, project_id=5)])


WAYS: list[tuple[str, Write]] = [
    ("`session.add_all([two])`", add_two),
    ("`page.title = ...`", rename),
    ("`page.project_id = ...` (moves to another channel)", move),
    ("`page.id = ...` (another key)", rekey),
    ("`session.delete(page)`", lambda session: session.delete(session.get_one(Page, 1))),
    ("`session.delete(project)`, pages by the ORM's cascade", lambda session: session.delete(session.get_one(Project, 5))),
    ("`update(Page).where(...)`", lambda session: session.execute(update(Page).where(Page.id < 3).values(title="b"))),
    (
        "`update(Page)...returning(Page)`",
        lambda session: session.scalars(update(Page).where(Page.id < 3).values(title="b").returning(Page)).all(),
    ),
    (
        "`update(Page), [two by key]`",
        lambda session: session.execute(update(Page), [{"id": 1, "title": "x"}, {"id": 2, "title": "y"}]),
    ),
    ("`update(Page).values(id=...)`", lambda session: session.execute(update(Page).where(Page.id == 1).values(id=77))),
    ("`delete(Page).where(...)`", lambda session: session.execute(delete(Page).where(Page.id < 3))),
    (
        "`insert(Page), [two with keys]`",
        lambda session: session.execute(insert(Page), [{"id": 8, "project_id": 5}, {"id": 9, "project_id": 5}]),
    ),
    ("`insert(Page), [without keys]`", lambda session: session.execute(insert(Page), [{"project_id": 5}])),
    (
        "`insert(Page).from_select(...)`",
        lambda session: session.execute(insert(Page).from_select(["id", "title"], select(literal(9), literal("s")))),
    ),
    ("upsert on the key, `[one there, one not]`", upsert),
    ("`query.update(...)`", lambda session: session.query(Page).filter(Page.id < 3).update({"title": "q"})),
    ("`query.delete()`", lambda session: session.query(Page).filter(Page.id < 3).delete()),
    (
        "`bulk_save_objects([two with keys])`",
        lambda session: session.bulk_save_objects([Page(id=8, project_id=5), Page(id=9, project_id=5)]),
    ),
    (
        "`bulk_update_mappings(Page, [two])`",
        lambda session: session.bulk_update_mappings(Page, [{"id": 1, "title": "x"}, {"id": 2, "title": "y"}]),
    ),
    (
        "`session.execute(table.update()...)`",
        lambda session: session.execute(Page.__table__.update().where(Page.__table__.c.id < 3).values(title="b")),
    ),
    ("`session.connection().execute(table.delete())`", lambda session: session.connection().execute(Page.__table__.delete())),
    ('`session.execute(text("UPDATE page ..."))`', lambda session: session.execute(text("UPDATE page SET title = 'raw'"))),
    ('`exec_driver_sql("DELETE FROM page ...")`', lambda session: session.connection().exec_driver_sql("DELETE FROM page")),
]


def measure(engine: Engine, write: Write) -> tuple[str, int]:
    """What a write sends, and how many statements more it takes than without us."""
    Base.metadata.create_all(engine)
    counts, told = [], ""
    for enabled in (False, True):
        capture = Capture(engine)
        with capture.sessions.begin() as session:
            session.execute(delete(Page))
            session.execute(delete(Project))
            session.add_all([Project(id=5), Project(id=6), *(Page(id=number, project_id=5, title="a") for number in (1, 2, 3))])
            if engine.dialect.name == "postgresql":
                # Its sequence knows nothing of the keys that were given to it.
                session.execute(text("SELECT setval('page_id_seq', 1000)"))
        if not enabled:
            capture.hooks.disable(resolve(capture.sessions))
        with capture.sessions.begin() as session:
            # What a table is like is looked at once, not once for each transaction.
            session.add(Page(id=4, project_id=6))
        with capture.sessions.begin() as session:
            session.delete(session.get_one(Page, 4))
        capture.commits()
        statements: list[str] = []

        def count(*arguments: Any, statements: list[str] = statements) -> None:
            statements.append(arguments[2])

        event.listen(engine, "before_cursor_execute", count)
        with capture.sessions.begin() as session:
            write(session)
        event.remove(engine, "before_cursor_execute", count)
        counts.append(sum(not each.startswith("BEGIN") for each in statements))
        told = describe(capture)
    return told, counts[1] - counts[0]


def describe(capture: Capture) -> str:
    """A commit in a few words."""
    words: list[str] = []
    for commit in capture.commits():
        words += [f"{change.type}{' (' + change.cause + ')' if change.cause else ''}" for change in commit.changes]
        words += ["**reload** of the pattern's channels"] * bool(commit.invalidated)
    return ", ".join(f"{words.count(word)} {word}" if word[0] != "*" else word for word in dict.fromkeys(words)) or "nothing"


def table(lite: Engine, postgres: Engine) -> str:
    """The table, measured on both."""
    lines = ["| way to write | what is sent | statements added, SQLite | PostgreSQL |", "| --- | --- | --: | --: |"]
    for name, write in WAYS:
        (sent, few), (same, more) = measure(lite, write), measure(postgres, write)
        assert sent == same, name
        lines.append(f"| {name} | {sent} | {few} | {more} |")
    return "\n".join(lines) + "\n"


def test_the_table_is_what_happens(tmp_path: Path) -> None:
    with postgres_engine() as postgres:
        made = table(sqlite_engine(tmp_path), postgres)
    text_ = PAGE.read_text()
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(re.sub(f"{BEGIN}.*{END}", f"{BEGIN}\n{made}\n{END}", text_, flags=re.DOTALL))
    elif made not in text_:
        pytest.fail(f"docs/writes.md is not what was measured; UPDATE_DOCS=1 writes it anew:\n{made}")
