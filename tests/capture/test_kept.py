"""Which values of a new row are those that were stored: of exactly the class that comes back, and of no other."""

from __future__ import annotations

import datetime
import enum
import math
from typing import Any

import pytest
from sqlalchemy import Engine, func, inspect

from sqla_realtime.capture import tracker
from sqla_realtime.capture.kept import Keeper, Kept, plain_class
from tests.support.models import Page
from tests.support.things import Selects, Thing, add, capture_of

NOON = datetime.datetime(2026, 1, 1, 12)
NAMES = ("id", "shelf", "name", "score", "at", "done")


class Kind(enum.IntEnum):
    A = 1


class Loud(str):
    __slots__ = ()


def thing(**values: Any) -> Thing:
    return Thing(**{"id": 1, "shelf": 2, "name": "a", "score": 0.5, "at": NOON, "done": True} | values)


def stored(made: Thing) -> Kept | None:
    return Keeper(inspect(Thing), NAMES).stored(inspect(made))


def test_plain_values_are_kept_and_what_was_not_given_is_null() -> None:
    assert stored(thing()) == (NAMES, (1, 2, "a", 0.5, NOON, True), True)
    assert stored(Thing(id=1, shelf=2, name="a")) == (NAMES, (1, 2, "a", None, None, None), True)


@pytest.mark.parametrize(
    "values",
    [
        {"score": math.nan}, {"score": math.inf}, {"score": -0.0}, {"score": 1}, {"shelf": True}, {"shelf": Kind.A},
        {"name": Loud("a")}, {"name": "longer than eight"}, {"name": func.lower("A")}, {"done": 1},
        {"at": NOON.replace(tzinfo=datetime.UTC)}, {"at": NOON.replace(fold=1)}, {"at": NOON.date()},
    ],
    ids=repr,
)  # fmt: skip
def test_what_the_database_may_make_something_else_of(values: dict[str, Any]) -> None:
    assert stored(thing(**values)) is None


def test_a_key_that_the_database_has_yet_to_make() -> None:
    assert stored(Thing(shelf=2, name="a")) is None


def test_what_an_object_holds_is_kept_whole_or_not_at_all() -> None:
    keeper, whole, part = Keeper(inspect(Thing), ("id", "name")), thing(name=Loud("b")), Thing(id=1)
    assert keeper.held(inspect(whole)) == (("id", "name"), (1, "b"), False)
    assert keeper.held(inspect(part)) is None


def test_types_that_may_change_a_value_are_not_plain() -> None:
    assert plain_class(Thing.__table__.c.name) is str
    assert plain_class(Page.__table__.c.size) is int
    assert plain_class(func.now()) is None


def test_values_that_must_be_read_are_read(engine: Engine) -> None:
    capture = capture_of(engine)
    add(capture)
    with Selects(engine) as statements:
        told = add(capture, 2, score=-0.0)
    assert len(statements) == 1
    assert '"score":0.0' in told[0][0] or '"score":-0.0' in told[0][0]


def test_no_more_values_are_kept_than_there_is_room_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = capture_of(engine)
    add(capture)
    monkeypatch.setattr(tracker, "ROOM", 3)
    with Selects(engine) as statements, capture.sessions.begin() as session:
        session.add_all(Thing(id=number, shelf=1, name=f"{number}") for number in range(10, 20))
    assert len(statements) == 1
    [commit] = capture.commits()
    assert [change.id for change in commit.changes] == [str(number) for number in range(10, 20)]
