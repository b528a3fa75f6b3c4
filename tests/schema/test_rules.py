"""Rules: the plain ones, and that a rule can be called as it will be before anybody asks."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from sqla_realtime.errors import BadRule
from sqla_realtime.schema.rules import Rule, anyone, check_rule, signed_in


def test_the_plain_rules() -> None:
    assert anyone(None) is True
    assert anyone("me", project_id=5) is True
    assert signed_in(None, project_id=5) is False
    assert signed_in("me", project_id=5) is True
    assert signed_in(0) is True, "whoever the application knows, whatever it is"


async def awaited(user: Any, a: int, b: int) -> bool:
    return True


class Callable:
    def __call__(self, user: Any, a: int, b: int) -> bool:
        return True

    def method(self, user: Any, a: int, b: int) -> bool:
        return True


@pytest.mark.parametrize(
    "rule",
    [
        anyone, signed_in, awaited, Callable(), Callable().method, lambda user, a, b: True, lambda someone, b, a: True,
        lambda user, **parameters: True, lambda user, a, b, c=1: True, lambda user, /, *, a, b: True,
        partial(lambda x, user, a, b: True, 1),
    ],
)  # fmt: skip
def test_what_can_be_called_is_a_rule(rule: Rule) -> None:
    check_rule(rule, "{a}/{b}", ("a", "b"))


@pytest.mark.parametrize(
    ("rule", "takes"),
    [
        (lambda: True, ""), (lambda user: True, "user"), (lambda user, a: True, "user, a"),
        (lambda user, a, b, c: True, "user, a, b, c"),
        (lambda user, a, B: True, "user, a, B"), (lambda a, b: True, "a, b"), (lambda user, a, b, /: True, "user, a, b"),
    ],
)  # fmt: skip
def test_what_cannot_is_refused_with_what_to_write(rule: Rule, takes: str) -> None:
    with pytest.raises(BadRule) as caught:
        check_rule(rule, "{a}/{b}", ("a", "b"))
    assert caught.value.facts == {"rule": "<lambda>", "pattern": "{a}/{b}", "takes": takes, "wants": "user, a, b"}


def test_a_rule_without_a_name_is_called_by_its_class() -> None:
    with pytest.raises(BadRule, match=r"The rule Callable for"):
        check_rule(Callable(), "all", ())
