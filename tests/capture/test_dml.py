"""What a statement is understood to select, whatever its binds are called and whether or not it comes from a cache."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, case, delete, func, literal, select, text, tuple_, update

from tests.support.capture import Capture
from tests.support.models import Page, Project


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add_all([Project(id=5), *(Page(id=number, project_id=5, title="a") for number in (1, 2, 3))])
    made.commits()
    return made


def run(capture: Capture, statement: Any) -> tuple[int, list[str]]:
    """How many rows a statement changed, and what its commit told."""
    with capture.sessions.begin() as session:
        rowcount = session.execute(statement).rowcount  # type: ignore[attr-defined]
    return rowcount, [line for told in capture.told() for line in told]


@pytest.mark.parametrize(
    "statement",
    [
        update(Page).where(Page.size == 7).values(size=Page.size + 0, title="b"),
        update(Page).where(Page.id == 1, Page.size == 7).values(size=literal(1) + Page.size - 1, title="b"),
        update(Page).where(Page.id.in_([1, 2])).values(size=case((Page.id.in_([3]), 8), else_=Page.size), title="b"),
        update(Page).where(Page.id == select(func.max(Page.id)).scalar_subquery()).values(size=Page.size + 0, title="b"),
    ],
    ids=["one", "two", "lists", "subquery"],
)
def test_an_expression_in_set_does_not_change_what_where_means(capture: Capture, statement: Any) -> None:
    """Both sides have binds without names; each is named by its place among them."""
    for _ in range(2):  # the second time from SQLAlchemy's cache
        rowcount, told = run(capture, statement)
        assert (len(told), [each for each in told if "title" not in each]) == (rowcount, [])
        run(capture, text("UPDATE page SET title = 'a'"))


def test_a_cached_statement_is_followed_with_its_own_values(capture: Capture) -> None:
    for number in (1, 2, 3):
        assert run(capture, delete(Page).where(Page.id == number))[1] == [f"destroy projects/5/pages Page {number}"]


def test_lists_and_tuples_bring_their_values_from_the_cache_too(capture: Capture) -> None:
    for numbers in ([1], [2, 3], []):
        statement = update(Page).where(Page.id.in_(numbers)).values(title="b")
        assert [each.split()[3] for each in run(capture, statement)[1]] == [str(number) for number in numbers]
    for numbers in ([1], [2, 3], []):
        pairs = [(number, "b") for number in numbers]
        statement = update(Page).where(tuple_(Page.id, Page.title).in_(pairs)).values(title="c")
        assert [each.split()[3] for each in run(capture, statement)[1]] == [str(number) for number in numbers]
