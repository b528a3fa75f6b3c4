"""Routes: the parameters that a function gives, their types, and the SELECT of the channel; their life is in test_views.py."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import inspect, select

from sqla_realtime.errors import BadParameterType, BadRoute
from sqla_realtime.schema.channels import Pattern
from sqla_realtime.schema.route import Route
from tests.support.models import Page


def route(**types: type) -> Route:
    return Route(
        lambda row: [{"word": word} for word in row["title"].split()],
        ("title",),
        types,
        lambda word: select(Page).where(Page.title.contains(word)).order_by(Page.size),
    )


def test_a_function_sees_what_it_reads_and_nothing_else() -> None:
    seen: list[object] = []
    spying = Route(lambda row: seen.append(dict(row)) or [], ("title",), {}, lambda: select(Page))  # type: ignore[func-returns-value]
    assert spying({"title": "a", "notes": "secret"}) == []
    assert seen == [{"title": "a"}]
    assert route(word=str)({"title": "a b"}) == [{"word": "a"}, {"word": "b"}]


def test_a_function_can_not_change_the_row() -> None:
    def spoil(row: Any) -> list[dict[str, Any]]:
        row["title"] = "x"
        return []

    with pytest.raises(TypeError, match="does not support item assignment"):
        Route(spoil, ("title",), {}, lambda: select(Page))({"title": "a"})


def test_parameters_are_those_of_the_pattern() -> None:
    made = route(word=str, other=uuid.UUID).parameters(Page, Pattern("{word}/{other}"))
    assert {name: parameter.python_type for name, parameter in made.items()} == {"word": str, "other": uuid.UUID}
    with pytest.raises(BadRoute, match="must name its placeholders: there are none"):
        route(word=str).parameters(Page, Pattern("pages"))
    with pytest.raises(BadParameterType, match="float"):
        route(word=float).parameters(Page, Pattern("{word}"))


def test_the_rows_are_those_whose_keys_are_selected() -> None:
    where = str(route(word=str).where(Page, inspect(Page), {"word": "a"}))
    assert where.startswith("page.id IN (SELECT page.id")
    assert "ORDER BY" not in where
