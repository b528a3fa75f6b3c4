"""Rows by their keys, whichever form the statement takes: the same rows, no others."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, update
from sqlalchemy.orm import Session

from sqla_realtime.schema.lookup import CHUNK, Lookup
from tests.support.models import Page, Project


@pytest.mark.parametrize(
    "keys",
    [[1, 2, 3], [3, 1, 2], [2], [1, 3, 9], [], [7, 7, 9], [1, True], [*range(1, CHUNK * 2 + 5)], [*range(1, CHUNK * 4, 2)]],
    ids=["range", "any order", "one", "gaps", "none", "twice", "no integer", "many", "many with gaps"],
)
def test_the_rows_of_the_keys(engine: Engine, keys: list[int]) -> None:
    with Session(engine) as session:
        session.execute(insert(Page), [{"id": number, "title": ""} for number in range(1, CHUNK * 3)])
        session.commit()
        found = [
            row.id
            for statement, parameters in Lookup([Page.id], select(Page.id))([(key,) for key in keys], engine.dialect.name)
            for row in session.connection().execute(statement, parameters)
        ]
    assert sorted(found) == sorted({int(key) for key in keys} & {*range(1, CHUNK * 3)})


def test_several_columns_and_other_types(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([Project(id=number, name="ab"[number % 2]) for number in range(1, 6)])
        session.commit()
        composite = Lookup([Project.id, Project.name], select(Project.id))
        text = Lookup([Project.name], select(Project.id))

        def run(lookup: Lookup, keys: list[Any]) -> list[int]:
            return sorted(
                row.id
                for statement, parameters in lookup(keys, engine.dialect.name)
                for row in session.connection().execute(statement, parameters)
            )

        assert run(composite, [(1, "b"), (2, "b"), (4, "a")]) == [1, 4]
        assert run(text, [("a",), ("c",)]) == [2, 4]


def test_a_range_has_two_parameters(sqlite: Engine) -> None:
    sent: list[Any] = []
    event.listen(sqlite, "before_cursor_execute", lambda *args: sent.append(args[3]))
    with sqlite.connect() as connection:
        for statement, parameters in Lookup([Page.id], select(Page.id))([(key,) for key in range(5, 400)], "sqlite"):
            connection.execute(statement, parameters)
    assert sent[-1:] == [(5, 399)], "BEGIN came first"


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
def test_where_a_transaction_repeats_what_it_saw_the_rows_are_read_as_they_are_stored(engine: Engine) -> None:
    lookup = Lookup([Page.id], select(Page.id, Page.title))
    with Session(engine) as session, session.begin():
        session.add_all([Page(id=number, title="old") for number in range(1, 10)])
    with engine.connect() as connection, engine.connect() as other:
        assert {row.title for row in connection.execute(select(Page.title))} == {"old"}
        other.execute(update(Page).where(Page.id == 1).values(title="new"))
        other.commit()
        # Nobody else's row is a reason to wait, changed or new, however few there are besides.
        other.execute(update(Page).where(Page.id == 9).values(title="new"))
        other.execute(insert(Page).values(id=10, title="new"))
        keys = [(number,) for number in range(1, 9)]
        assert [row[1] for row in lookup.rows(connection, keys)] == ["new", *["old"] * 7]
