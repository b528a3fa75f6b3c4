"""Keys as text: one spelling per value, and a composite key that can be taken apart again."""

from __future__ import annotations

import datetime
import enum
import uuid
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.schema.keys import key_text


class Colour(enum.Enum):
    RED = "#f00"


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (-5, "-5"), (2**63, "9223372036854775808"), ("a", "a"), ("", ""), ("a,b%2C", "a,b%2C"), (True, "true"),
        (False, "false"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"), (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.UTC), "2024-02-29T01:02:03+00:00"),
        (datetime.time(1, 2), "01:02:00"),
        (Colour.RED, "RED"), (Level.LOW, "LOW"), (Decimal("1.50"), "1.5"), (b"\xfb\xff", "-_8="),
        (memoryview(b"\xfb\xff"), "-_8="),
        ("é\n", "é\n"),
    ],
)  # fmt: skip
def test_a_key_of_one_part_is_its_value(value: Any, text: str) -> None:
    assert key_text((value,)) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((1, "a"), "1,a"), (("a,b", "c"), "a%2Cb,c"), (("a", "b,c"), "a,b%2Cc"), (("%2C", ""), "%252C,"),
        (("\n\x7f", 1), "%0A%7F,1"),
        (("é /", True), "é /,true"),
    ],
)  # fmt: skip
def test_parts_are_joined_so_that_they_can_be_told_apart(key: tuple[Any, ...], text: str) -> None:
    assert key_text(key) == text


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_a_composite_key_can_be_taken_apart_as_the_protocol_says(parts: list[str]) -> None:
    text = key_text(parts)
    assert [unquote(part) for part in text.split(",")] == parts
    assert not any(ord(character) < 32 for character in text)
