"""The running demo, its database, and scripts on its models."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from examples.conftest import Example
from tests.support.processes import ROOT

# The titles of the project that both users see.
FIRST = [
    "Cards for the numbers",
    "Cards for the operations",
    "The mill",
    "The store",
    "A moth in relay 70",
    "What it may compose",
]

# What a script of its own process begins with.
SCRIPT = """
from sqlalchemy import delete, update
from examples.flask_demo import create_app
from examples.flask_demo.models import Page, db
with create_app().app_context():
"""


class Demo(Example):
    """The demo and its database."""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__("examples.flask_demo", "/projects/1", folder, **environment)
        self._first: list[Any] | None = None
        self._database = folder / "demo.db"

    def fill(self) -> None:
        """Put the first rows back."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            if self._first is None:
                self._first = connection.execute("SELECT * FROM page").fetchall()
            connection.execute("DELETE FROM page")
            connection.executemany("INSERT INTO page VALUES (?, ?, ?, ?, ?, ?)", self._first)

    def execute(self, statement: str) -> None:
        """Change rows that are not published, behind the demo's back."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            connection.execute(statement)

    def write(self, script: str) -> None:
        """Run a script on its models in a process of its own, and commit what it did."""
        program = f"{SCRIPT}{indent(script, '    ')}\n    db.session.commit()\n"
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **self.environment}, cwd=ROOT, check=True, timeout=30
        )

    def read(self, column: str, project_id: int = 1) -> list[str]:
        """A column of a project's pages, in their order."""
        query = f"SELECT {column} FROM page WHERE project_id = ? ORDER BY position, id"  # noqa: S608 - our own names
        with closing(sqlite3.connect(self._database)) as connection:
            return [value for (value,) in connection.execute(query, (project_id,))]


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def demo(running_demo: Demo) -> Demo:
    """The running demo with the rows that it began with; no window is open yet."""
    running_demo.fill()
    return running_demo
