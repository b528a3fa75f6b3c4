"""Channel patterns: names and values are one to one, overlaps are found, and nothing else is a name."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sqla_realtime.errors import BadPattern
from sqla_realtime.schema.channels import MAX_NAME, NAME, Parameter, Pattern


class Colour(enum.Enum):
    RED = "#f00"
    ROUGE = "#f00"  # noqa: PIE796


class Number(enum.IntEnum):
    ONE = 1


def parameter(python_type: type) -> Parameter:
    found = Parameter.of(python_type)
    assert found is not None
    return found


def parameters(**types: type) -> dict[str, Parameter]:
    return {name: parameter(python_type) for name, python_type in types.items()}


# Patterns.


@pytest.mark.parametrize(
    ("text", "placeholders"),
    [
        ("pages", ()), ("projects/{project_id}/pages", ("project_id",)), ("{a}", ("a",)), ("{a}/{b}", ("a", "b")),
        ("{a}:{b}/c-{d}.x", ("a", "b", "d")), ("x" * 255, ()), ("A-z_.~:/9", ()),
    ],
)  # fmt: skip
def test_a_pattern_knows_its_placeholders(text: str, placeholders: tuple[str, ...]) -> None:
    assert Pattern(text).placeholders == placeholders
    assert text in repr(Pattern(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "1 to 255"), ("x" * 256, "1 to 255"), ("{}", "not a name"), ("{1a}", "not a name"), ("{a-b}", "not a name"),
        ("{ a}", "not a name"),
        ("{a}/{a}", "twice"), ("a b", "a character"), ("ä", "a character"), ("a%20", "a character"), ("a?b", "a character"),
        ("{a", "a character"),
        ("a}", "a character"), ("{{a}}", "a character"), ("a\n", "a character"), ("{a}{b}", "told apart"),
        ("{a}-{b}", "told apart"),
        ("{a}/{b}.{c}", "told apart"),
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(BadPattern) as caught:
        Pattern(text)
    assert reason in str(caught.value)
    assert repr(text) in str(caught.value)


# Values.

UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (5, "5"), (-5, "-5"), (0, "0"), (2**63 - 1, str(2**63 - 1)), ("a", "a"), ("", ""), ("A-z_.~9", "A-z_.~9"),
        ("a/b:c", "a%2Fb%3Ac"),
        ("é", "%C3%A9"), ("%2F", "%252F"), (" ", "%20"), ("{x}", "%7Bx%7D"), (True, "true"), (False, "false"),
        (UUID, str(UUID)), (datetime.date(2024, 2, 29), "2024-02-29"), (Colour.RED, "RED"), (Number.ONE, "ONE"),
    ],
)  # fmt: skip
def test_a_value_has_one_name_and_the_name_that_value(value: Any, name: str) -> None:
    pattern, types = Pattern("p/{x}/q"), parameters(x=type(value))
    assert pattern.name({"x": value}, types) == f"p/{name}/q"
    found = pattern.match(f"p/{name}/q", types)
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


@pytest.mark.parametrize(
    ("python_type", "text"),
    [
        *[(int, text) for text in ("", "05", "+5", "%2B5", "-0", "5.0", "1_000", "%205", "5%0A", "%D9%A1", "a", "0x5")],
        *[(int, text) for text in (str(2**63), "9" * 5000)],
        *[(str, text) for text in ("%c3%a9", "%41", "%2f", "%", "%4", "%zz", "%C3", "%ED%A0%80", "a b", "é", "%00", "a/b")],
        *[(bool, text) for text in ("1", "True", "TRUE", "yes", "")],
        *[(uuid.UUID, text) for text in (str(UUID).upper(), UUID.hex, f"%7B{UUID}%7D", "x")],
        *[(datetime.date, text) for text in ("20240229", "2024-W09-4", "2023-02-29", "2024-2-9", "2024-02-29T00%3A00")],
        *[(Colour, text) for text in ("ROUGE", "red", "%23f00", "", "__class__", "mro")],
    ],
)  # fmt: skip
def test_any_other_spelling_is_no_channel(python_type: type, text: str) -> None:
    assert Pattern("p/{x}").match(f"p/{text}", parameters(x=python_type)) is None


def test_a_parameter_reads_what_it_writes_and_nothing_else() -> None:
    assert parameter(int).parse("5") == 5
    for text in ("05", " 5", "5_0"):
        with pytest.raises(ValueError):
            parameter(int).parse(text)
    with pytest.raises(LookupError):
        parameter(Colour).parse("BLUE")
    with pytest.raises(ValueError):
        parameter(Colour).parse("ROUGE")


@pytest.mark.parametrize("name", ["p/5/q", "P/5", "p/5/", "/p/5", "p/5\n", "\np/5", "p", "", "p:5"])
def test_a_name_of_another_shape_is_no_channel(name: str) -> None:
    assert Pattern("p/{x}").match(name, parameters(x=int)) is None


@pytest.mark.parametrize("python_type", [float, bytes, datetime.datetime, datetime.time, object, dict])
def test_types_without_one_text_are_no_parameters(python_type: type) -> None:
    assert Parameter.of(python_type) is None


def test_a_row_without_a_value_is_in_no_channel() -> None:
    pattern, types = Pattern("p/{x}/{y}"), parameters(x=int, y=str)
    assert pattern.name({"x": 1, "y": None}, types) is None
    assert pattern.name({"x": 1, "y": ""}, types) == "p/1/"


def test_a_name_that_would_be_too_long_is_none() -> None:
    pattern, types = Pattern("p/{x}"), parameters(x=str)
    longest = "x" * (MAX_NAME - 2)
    assert pattern.name({"x": longest}, types) == "p/" + longest
    assert pattern.match("p/" + longest, types) == {"x": longest}
    assert pattern.name({"x": longest + "x"}, types) is None
    assert pattern.match("p/" + longest + "x", types) is None


def test_a_pattern_without_placeholders_is_one_channel() -> None:
    assert Pattern("all").name({}, {}) == "all"
    assert Pattern("all").match("all", {}) == {}
    assert Pattern("all").match("al", {}) is None


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.fixed_dictionaries({"a": st.integers(-(2**63), 2**63 - 1), "b": TEXT, "c": st.booleans()})
TYPES = parameters(a=int, b=str, c=bool)


@given(VALUES)
def test_every_row_finds_its_channel_and_the_channel_its_row(values: dict[str, Any]) -> None:
    pattern = Pattern("x/{a}:{b}/-{c}.")
    name = pattern.name(values, TYPES)
    assume(name is not None)
    assert name is not None
    assert NAME.fullmatch(name)
    assert pattern.match(name, TYPES) == values


@given(VALUES, VALUES)
def test_different_rows_are_in_different_channels(one: dict[str, Any], other: dict[str, Any]) -> None:
    pattern = Pattern("{b}/{a}:{c}")
    first, second = pattern.name(one, TYPES), pattern.name(other, TYPES)
    if first is not None and first == second:
        assert one == other


@given(st.from_regex(r"p/[0-9A-Za-z%+_-]{0,8}", fullmatch=True), st.sampled_from([int, str, bool, Colour]))
def test_whatever_is_a_channel_is_the_name_of_its_values(name: str, python_type: type) -> None:
    pattern, types = Pattern("p/{x}"), parameters(x=python_type)
    values = pattern.match(name, types)
    if values is not None:
        assert pattern.name(values, types) == name


# Overlaps.


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("a", "a", False), ("a", "b", False), ("a/{x}", "a/{x}", False), ("a/{x}", "a/{y}", True), ("a/{x}", "b/{x}", False),
        ("a/{x}", "a/b", True), ("a/{x}", "a/b/c", False), ("{x}", "a", True), ("{x}/a", "b/{y}", True),
        ("a/{x}/c", "a/b/{y}", True),
        ("a/{x}/c", "a/{x}/d", False), ("a-{x}", "a-b", True), ("a-{x}", "b-{y}", False), ("{x}-a", "{y}-b", False),
        ("{x}-a", "b-{y}", True),
        ("aa{x}aa", "aaa", False), ("aa{x}aa", "aaaa", True), ("a{x}", "ab{y}", True), ("{x}/{y}", "a/{y}", True),
        ("a/", "a/{x}", True),
    ],
)  # fmt: skip
def test_patterns_that_can_name_the_same_channel_overlap(one: str, other: str, overlap: bool) -> None:
    assert Pattern(one).overlaps(Pattern(other)) is overlap
    assert Pattern(other).overlaps(Pattern(one)) is overlap


PARTS = st.lists(st.sampled_from(["a", "b", "/", "-", "{x}", "{y}", ":"]), min_size=1, max_size=6).map("".join)
NAMES = st.lists(st.sampled_from(["a", "b", "/", "-", ":", "%2F"]), min_size=1, max_size=6).map("".join)


def pattern_or_none(text: str) -> Pattern | None:
    try:
        return Pattern(text)
    except BadPattern:
        return None


@given(PARTS, PARTS, NAMES)
def test_patterns_that_share_a_name_overlap(one: str, other: str, name: str) -> None:
    first, second = pattern_or_none(one), pattern_or_none(other)
    assume(first is not None and second is not None and one != other)
    assert first is not None
    assert second is not None
    types = parameters(x=str, y=str)
    if first.match(name, types) is not None and second.match(name, types) is not None:
        assert first.overlaps(second)


def test_the_property_can_find_something() -> None:
    """Two patterns of which a name is both: without it the property above would hold for any ``overlaps``."""
    types = parameters(x=str, y=str)
    assert Pattern("a/{x}").match("a/b", types)
    assert Pattern("{y}/b").match("a/b", types)
    assert Pattern("a/{x}").overlaps(Pattern("{y}/b"))
