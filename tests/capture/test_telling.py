"""What one row amounts to: told where it was and is, with what differs, in the order in which it was touched."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect

from sqla_realtime.capture.telling import Row, Told, tell
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Image
from tests.support.capture import CHANNEL
from tests.support.models import Page, PageOut

PAGES = Publication(Page, PageOut, CHANNEL)
MAPPER = inspect(Page)


def told(touch: Touch, stored: dict[str, Any] | None) -> list[str]:
    values = None if stored is None else {"id": 1, "project_id": 5, "size": 7, **stored}
    image = None if values is None else Image((1,), MAPPER, values, values)
    doubt: set[str] = set()
    told = Told([], [])
    tell([Row(MAPPER, (1,), touch, image)], [PAGES], told, doubt)
    changes = told.changes
    return [
        *(" ".join((each.type, each.channel, *each.changed, each.cause or "")).strip() for each in changes),
        *(f"doubt {text}" for text in doubt),
    ]


@pytest.mark.parametrize(
    ("touch", "stored", "lines"),
    [
        (Touch("create", MAPPER), {"title": "a"}, ["create projects/5/pages"]),
        (Touch("create", MAPPER), None, []),
        (Touch("update", MAPPER, {}, frozenset({"title"})), {"title": "a"}, ["update projects/5/pages title"]),
        (Touch("update", MAPPER, {"title": "a"}, frozenset({"title"})), {"title": "a"}, []),
        (
            Touch("update", MAPPER, {"project_id": 4}, frozenset({"project_id"})),
            {"title": "a"},
            ["destroy projects/4/pages leave", "create projects/5/pages enter"],
        ),
        (Touch("update", MAPPER, {}, frozenset({"project_id"})), {"title": "a"}, [f"doubt {CHANNEL}"]),
        (Touch("destroy", MAPPER, {"project_id": 4}), None, ["destroy projects/4/pages"]),
    ],
)
def test_a_row_is_told_where_it_was_and_is(touch: Touch, stored: dict[str, Any] | None, lines: list[str]) -> None:
    assert told(touch, stored) == lines


def test_what_is_known_of_before_counts_even_where_nothing_that_decides_was_touched() -> None:
    moved_by_others = Touch("update", MAPPER, {"project_id": 4}, frozenset({"title"}))
    assert told(moved_by_others, {"title": "a"}) == ["destroy projects/4/pages leave", "create projects/5/pages enter"]


def test_changes_stand_in_the_order_of_their_touches() -> None:
    rows = [
        Row(MAPPER, (key,), Touch("destroy", MAPPER, {"project_id": 5}, None, order), None)
        for key, order in ((1, 7), (2, 3), (3, 5))
    ]
    told = Told([], [])
    tell(rows, [PAGES], told, set())
    pairs = list(zip(told.orders, told.changes, strict=True))
    in_order = Told([order for order, _ in pairs], [change for _, change in pairs]).in_order()
    assert [change.id for change in in_order] == ["2", "3", "1"]
