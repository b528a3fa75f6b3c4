"""Two publications do not contradict each other: what could be confused is refused when it is declared."""

from __future__ import annotations

import pytest

from sqla_realtime.errors import BadPattern
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry
from tests.schema.models import Animal, Team, User
from tests.schema.test_registry import Badge, Out, published


def test_rows_of_two_models_must_be_told_apart_by_their_class() -> None:
    registry = Registry()
    registry.publish(Publication(Team, Out, "x", name="Dog"))
    registry.publish(Publication(User, Out, "x", name="Item"))
    for model, name in ((Animal, None), (Badge, "Item")):
        with pytest.raises(BadPattern, match=r"would both be of class '(Dog|Item)'"):
            registry.publish(Publication(model, Out, "x", name=name))
    registry.publish(Publication(Badge, Out, "y", name="Item"))


def test_one_pattern_has_one_type_per_parameter() -> None:
    registry = published((User, "teams/{team_id}"))
    with pytest.raises(BadPattern, match=r"team_id is str in Badge but int in User"):
        registry.publish(Publication(Badge, Out, "teams/{team_id}"))
