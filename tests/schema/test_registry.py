"""What was declared: which publications a row has, what a name means, and declarations that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import ForeignKey, inspect
from sqlalchemy.orm import Mapped, mapped_column

from sqla_realtime.errors import BadPattern, BadRule, OverlappingPatterns, PublishedTwice, RuleTwice
from sqla_realtime.schema.assembly import Assembly
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry
from sqla_realtime.schema.rules import anyone, signed_in
from tests.schema.models import Animal, Base, Cat, Dog, Team, User


class Badge(Base):
    """Belongs to a team, by a key of another type."""

    __tablename__ = "badge"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str]
    owner_id: Mapped[int] = mapped_column(ForeignKey("team.id"))


class Out(BaseModel):
    id: Any


def published(*declared: tuple[type, str]) -> Registry:
    registry = Registry()
    for model, pattern in declared:
        registry.publish(Publication(model, Out, pattern))
    return registry


def rule(user: Any, team_id: int) -> bool:
    return True


# Names.


def test_a_name_is_understood() -> None:
    registry = published((User, "teams/{team_id}"), (Team, "teams"))
    registry.rule("teams/{team_id}", rule)
    channel = registry.channel("teams/5")
    assert channel is not None
    assert (channel.name, channel.pattern.text, channel.values, channel.rule) == (
        "teams/5",
        "teams/{team_id}",
        {"team_id": 5},
        rule,
    )
    assert [each.model for each in channel.publications] == [User]
    teams = registry.channel("teams")
    assert teams is not None
    assert (teams.values, teams.rule) == ({}, None)


@pytest.mark.parametrize(
    "name", ["", "teams/", "teams/x", "teams/05", "teams/5/", "team", "teams/{team_id}", "Teams/5", "rule/5"]
)
def test_any_other_name_is_none(name: str) -> None:
    registry = published((User, "teams/{team_id}"))
    registry.rule("rule/{team_id}", rule)
    assert registry.channel(name) is None


def test_several_models_share_a_pattern() -> None:
    registry = published((User, "users/{id}"), (Team, "all"), (User, "all"))
    channel = registry.channel("all")
    assert channel is not None
    assert [each.model for each in channel.publications] == [Team, User]
    assert [each.model for each in registry] == [User, Team, User]


# Rows.


def test_a_row_is_published_by_itself_and_by_its_ancestors() -> None:
    registry = published((Animal, "animals"), (Dog, "dogs/{zoo}"), (Cat, "cats/{lives}"))
    assert registry.of(inspect(Animal)).patterns == {"animals"}
    dog = registry.of(inspect(Dog))
    assert dog.patterns == {"animals", "dogs/{zoo}"}
    assert dog.decisive == {"zoo"}
    assert registry.of(inspect(Cat)).decisive == {"lives"}
    assert registry.of(inspect(Team)).publications == ()


def test_what_a_family_turns_on_is_gathered() -> None:
    family = published((User, "{team_id}/{name}"), (User, "users/{active}/{name}")).of(inspect(User))
    assert family.decisive == {"team_id", "name", "active"}
    assert family.volatile == {"seen", "version"}


def test_a_later_publication_is_seen() -> None:
    registry = published((Animal, "animals"))
    assert registry.of(inspect(Dog)).patterns == {"animals"}
    registry.publish(Publication(Dog, Out, "dogs"))
    assert registry.of(inspect(Dog)).patterns == {"animals", "dogs"}


# Contradictions.


def test_a_model_is_published_once_per_pattern() -> None:
    registry = published((Team, "teams"))
    with pytest.raises(PublishedTwice):
        registry.publish(Publication(Team, Out, "teams"))
    registry.publish(Publication(Team, Out, "others"))


@pytest.mark.parametrize(("first", "second"), [(Animal, Dog), (Dog, Animal), (Animal, Cat), (Cat, Animal)])
def test_a_row_is_not_told_twice_in_one_channel(first: type, second: type) -> None:
    registry = published((first, "animals"))
    with pytest.raises(PublishedTwice):
        registry.publish(Publication(second, Out, "animals"))


def test_siblings_of_a_tree_may_share_a_pattern() -> None:
    assert len(list(published((Dog, "pets"), (Cat, "pets")))) == 2


def test_patterns_that_overlap_are_refused() -> None:
    registry = published((User, "x/{team_id}"))
    for pattern in ("x/{id}", "x/all", "{name}/1"):
        with pytest.raises(OverlappingPatterns) as caught:
            registry.publish(Publication(User, Out, pattern))
        assert caught.value.facts == {"pattern": pattern, "other": "x/{team_id}"}
        assert registry.channel("x/all") is None
    assert [each.pattern.text for each in registry] == ["x/{team_id}"]


def test_a_rule_overlaps_too() -> None:
    registry = Registry()
    registry.rule("x/{team_id}", rule)
    with pytest.raises(OverlappingPatterns):
        registry.publish(Publication(User, Out, "x/{id}"))
    with pytest.raises(OverlappingPatterns):
        registry.rule("x/y", anyone)
    registry.publish(Publication(User, Out, "x/{team_id}"))


# Rules.


def test_a_pattern_has_one_rule() -> None:
    registry = published((Team, "teams"))
    registry.rule("teams", anyone)
    with pytest.raises(RuleTwice):
        registry.rule("teams", signed_in)
    assert registry.rule_name("teams") == "anyone"


def test_a_rule_is_checked_whichever_comes_first() -> None:
    with pytest.raises(BadRule):
        published((User, "teams/{team_id}")).rule("teams/{team_id}", lambda user: True)
    with pytest.raises(BadRule):
        Registry().rule("teams/{team_id}", lambda user: True)
    with pytest.raises(BadPattern):
        Registry().rule("a b", anyone)


def test_a_refused_rule_leaves_none() -> None:
    registry = published((User, "teams/{team_id}"))
    with pytest.raises(BadRule):
        registry.rule("teams/{team_id}", lambda user: True)
    assert registry.unruled() == ["teams/{team_id}"]
    registry.rule("teams/{team_id}", rule)
    assert registry.unruled() == []


def test_what_was_forgotten_is_listed() -> None:
    registry = published((Team, "teams"), (User, "users/{team_id}"))
    registry.rule("teams", anyone)
    registry.rule("usres/{team_id}", rule)
    assert registry.unruled() == ["users/{team_id}"]
    assert registry.orphaned() == ["usres/{team_id}"]


def test_a_channel_may_have_a_rule_and_no_rows() -> None:
    registry = Registry()
    registry.rule("news/{topic}", anyone)
    found = registry.declared("news/a%2Fb")
    assert found is not None
    assert (found.values, found.publications, found.rule) == ({"topic": "a/b"}, (), anyone)
    assert registry.channel("news/a%2Fb") is None, "there are no rows to begin with"
    assert registry.declared("news/a/b") is registry.declared("new") is None


def test_a_channel_without_rows_may_have_an_assembly() -> None:
    registry = published((Team, "teams"))
    assembly = Assembly("rooms/{room}", Out)
    registry.rule("rooms/{room}", anyone, assembly)
    registry.rule("nothing/{x}", anyone)
    registry.rule("teams", anyone)
    found = registry.joinable("rooms/a%20b")
    assert found is not None
    assert (found.values, found.publications, found.assembly) == ({"room": "a b"}, (), assembly)
    assert registry.joinable("nothing/1") is None
    assert (registry.joinable("teams") or found).assembly is None
    assert registry.orphaned() == ["nothing/{x}"]
    assert registry.assemblies() == {"rooms/{room}": assembly}
