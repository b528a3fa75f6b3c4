"""Every exception: the tree in the docstring is the tree in the code, codes are unique, and each message can be made."""

from __future__ import annotations

import re

import pytest

from sqla_realtime import errors
from sqla_realtime.errors import RealtimeError, WeakSecret
from tests.errors.family import ALL, RAISED


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


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_each_class_says_what_it_is_for(cls: type[RealtimeError]) -> None:
    assert cls.__doc__


def test_facts_stay_readable() -> None:
    assert WeakSecret(length=3).facts == {"length": 3}
