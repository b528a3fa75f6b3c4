"""Every exception: the tree in the docstring is the tree in the code, codes are unique, and each message can be made."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

import pytest

from sqla_realtime import errors
from sqla_realtime.errors import BadPattern, RealtimeError, RuleTwice, SecretColumn, WeakSecret


def family(cls: type[RealtimeError]) -> Iterator[type[RealtimeError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__.startswith(errors.__name__ + "."):
            yield from family(child)


ALL = list(family(RealtimeError))
# What is raised has a code of its own; the others are for `except`.
RAISED = [cls for cls in ALL if "code" in vars(cls) and cls is not RealtimeError]


def placeholders(template: str) -> set[str]:
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def facts(cls: type[RealtimeError]) -> dict[str, object]:
    return {name: f"<{name}>" for name in placeholders(cls.message) | placeholders(cls.fix)}


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    (?:[│├└─ ]*─ )?([A-Z]\w+)(?:\s|$)", line):
            drawn[found[1]] = line
    assert set(drawn) == {cls.__name__ for cls in ALL}
    for cls in RAISED:
        assert re.search(rf"\b{cls.code}\b", drawn[cls.__name__]), cls
    for cls in ALL[1:]:
        depth = len(cls.__mro__) - len(RealtimeError.__mro__)
        assert drawn[cls.__name__].index(cls.__name__) == 4 + 4 * depth, f"{cls.__name__} is drawn at another depth"


def test_codes_are_kebab_case_and_unique() -> None:
    codes = [cls.code for cls in RAISED]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("cls", RAISED, ids=lambda cls: cls.code)
def test_a_message_says_what_why_and_the_next_keystroke(cls: type[RealtimeError]) -> None:
    error = cls(**facts(cls))
    text = str(error)
    assert text.endswith(f" [{cls.code}]")
    for value in error.facts.values():
        assert str(value) in text
    if cls is not errors.PositionGone:  # that one is for the package itself
        assert cls.fix, "an error without a next keystroke"
        assert "\n" in text


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_each_class_says_what_it_is_for(cls: type[RealtimeError]) -> None:
    assert cls.__doc__


def test_facts_stay_readable() -> None:
    assert WeakSecret(length=3).facts == {"length": 3}


def test_braces_in_facts_are_no_templates() -> None:
    assert "'a/{b}'" in str(BadPattern(pattern="a/{b}", reason="{reason}"))
    assert "@realtime.channel('a/{b}')" in str(RuleTwice(pattern="a/{b}"))
    assert '"projects/{project_id}/pages"' in str(BadPattern(pattern="x", reason="y"))


def test_the_whole_text() -> None:
    error = SecretColumn(schema="UserOut", field="pw", model="User", attribute="password")
    assert str(error) == (
        "UserOut.pw would send User.password, whose name looks like a secret.\n"
        'Remove the field. If it is meant to be seen: publish(..., expose=["pw"]). [secret-column]'
    )
