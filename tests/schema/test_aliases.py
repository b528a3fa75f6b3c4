"""Names for foreign clients: which channels they stand for, what a change is by them, and which can't be declared."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from sqla_realtime.errors import BadPattern
from sqla_realtime.schema.aliases import KNOWN, Aliases
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry
from tests.schema.models import Animal, Dog, Team, User


class Out(BaseModel):
    id: Any


def aliases(*declared: tuple[type, str, str | None]) -> Aliases:
    registry = Registry()
    for model, pattern, alias in declared:
        registry.publish(Publication(model, Out, pattern, alias=alias))
    return Aliases(registry)


def test_a_name_stands_for_the_channels_of_all_who_share_it() -> None:
    known = aliases((User, "users", "/observer"), (Team, "teams", "/observer"), (Animal, "animals", None))
    assert known
    assert known.channels("/observer") == ("users", "teams")
    assert known.channels("users") == known.channels("animals") == known.channels("/observer/") == ()
    found = known.of("teams", "Team")
    assert found is not None
    assert (found.publication.model, found.name) == (Team, "/observer")


def test_parameters_are_those_of_the_pattern() -> None:
    known = aliases((User, "teams/{team_id}/users", "/observer/{team_id}"))
    assert known.channels("/observer/5") == ("teams/5/users",)
    assert known.channels("/observer/05") == known.channels("/observer/x") == known.channels("/observer/{team_id}") == ()
    found = known.of("teams/5/users", "User")
    assert found is not None
    assert found.name == "/observer/5"


def test_a_class_without_an_alias_has_no_name_in_the_same_channel() -> None:
    known = aliases((User, "all", "/observer"), (Team, "all", None))
    assert known.channels("/observer") == ("all",)
    assert known.of("all", "User") is not None
    assert known.of("all", "Team") is known.of("all", "Other") is known.of("nowhere", "User") is None


def test_a_subclass_has_the_name_of_its_publication() -> None:
    assert aliases((Animal, "animals", "/observer")).of("animals", "Dog") is not None


def test_without_any_there_are_none() -> None:
    assert not aliases((User, "users", None))


def test_what_is_remembered_is_bounded() -> None:
    known = aliases((User, "users", "/observer"))
    for number in range(KNOWN + 2):
        known.of(f"nowhere/{number}", "User")
    assert len(known._known) <= KNOWN


@pytest.mark.parametrize("alias", ["", "/observer/{team_id}", "with space", "x" * 256])
def test_an_alias_that_can_be_none(alias: str) -> None:
    with pytest.raises(BadPattern):
        aliases((User, "users", alias))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((Animal, "animals", "/observer"), (Dog, "dogs", "/observer")),
        ((User, "users/{team_id}", "/o/{team_id}"), (User, "all", "/o/all")),
    ],
)
def test_a_class_means_one_thing_under_a_name(one: Any, other: Any) -> None:
    with pytest.raises(BadPattern, match="two kinds"):
        aliases(one, other)
    aliases(one, (other[0], other[1], "/elsewhere"))
