"""Channel patterns such as ``projects/{project_id}/pages``: they name channels from rows and find the parameters in names.

Both directions are exact: a value has one canonical text (RFC 3986 percent-encoding of everything but ``A-Za-z0-9_.~-``),
and a name that is not the canonical one of its parameters is no channel at all. So no two names mean the same rows.
"""

from __future__ import annotations

import datetime
import enum
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from sqla_realtime.errors import BadPattern

MAX_NAME = 255
NAME = re.compile(r"[A-Za-z0-9_.~\-:/%]{1,255}")
_LITERAL = re.compile(r"[A-Za-z0-9_.~\-:/]*")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# A value's text holds none of these, so one of them between two placeholders keeps them apart.
_SEPARATOR = re.compile(r"[:/]")
_VALUE = r"([A-Za-z0-9_.~%-]*)"


def _parse_bool(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _parse_int(text: str) -> int:
    """No column holds more than 64 bits, and asking a driver for such a number is an error."""
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value


def _parse_text(text: str) -> str:
    """PostgreSQL stores no NUL, and asking it for one is an error."""
    if "\0" in text:
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True)
class Parameter:
    """A placeholder's type and its canonical text, without percent-encoding."""

    python_type: type
    to_text: Callable[[Any], str]
    from_text: Callable[[str], Any]

    @classmethod
    def of(cls, python_type: type) -> Parameter | None:
        """The parameter for values of this type, or None where no canonical text is known."""
        if issubclass(python_type, enum.Enum):
            return cls(python_type, lambda value: value.name, python_type.__getitem__)
        return _PARAMETERS.get(python_type)

    def parse(self, text: str) -> Any:
        """The value that is written ``text``. Raises LookupError or ValueError for any other text."""
        value = self.from_text(text)
        if self.to_text(value) != text:
            raise ValueError(text)
        return value


_PARAMETERS: dict[type, Parameter] = {
    int: Parameter(int, lambda value: str(int(value)), _parse_int),
    str: Parameter(str, str, _parse_text),
    bool: Parameter(bool, lambda value: "true" if value else "false", _parse_bool),
    uuid.UUID: Parameter(uuid.UUID, str, uuid.UUID),
    datetime.date: Parameter(datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
}


class Pattern:
    """A parsed channel pattern. ``text`` is as written, ``placeholders`` are its names in order."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.placeholders: tuple[str, ...] = tuple(_PLACEHOLDER.findall(text))
        self._literals: list[str] = _PLACEHOLDER.split(text)[::2]
        self._check()
        self._regex = re.compile(_VALUE.join(re.escape(literal) for literal in self._literals))

    def _check(self) -> None:
        if not self.text or len(self.text) > MAX_NAME:
            self._refuse(f"it must have 1 to {MAX_NAME} characters")
        for name in self.placeholders:
            if not name.isidentifier():
                self._refuse(f"{{{name}}} is not a name")
        if len(set(self.placeholders)) != len(self.placeholders):
            self._refuse("a placeholder occurs twice")
        if not all(_LITERAL.fullmatch(literal) for literal in self._literals):
            self._refuse("a character that channel names do not have")
        if not all(_SEPARATOR.search(literal) for literal in self._literals[1:-1]):
            self._refuse('two placeholders need a "/" or ":" between them, or their values could not be told apart')

    def _refuse(self, reason: str) -> None:
        raise BadPattern(pattern=self.text, reason=reason)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def name(self, values: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> str | None:
        """The channel of a row with these ``values``, or None where one of them is None: such a row is in no channel."""
        if not self.placeholders:
            return self.text
        parts = [self._literals[0]]
        for placeholder, literal in zip(self.placeholders, self._literals[1:], strict=True):
            value = values[placeholder]
            if value is None:
                return None
            parts += (quote(parameters[placeholder].to_text(value), safe=""), literal)
        name = "".join(parts)
        return name if len(name) <= MAX_NAME else None

    def match(self, name: str, parameters: Mapping[str, Parameter]) -> dict[str, Any] | None:
        """The typed values in a channel's name, or None where the name is none of this pattern."""
        found = self._regex.fullmatch(name) if len(name) <= MAX_NAME else None
        if found is None:
            return None
        values = {}
        try:
            for placeholder, text in zip(self.placeholders, found.groups(), strict=True):
                values[placeholder] = parameters[placeholder].parse(unquote(text, errors="strict"))
        except (LookupError, ValueError, OverflowError):
            return None
        return values if self.name(values, parameters) == name else None

    def overlaps(self, other: Pattern) -> bool:
        """Whether some name could belong to both. Errs towards yes; equal patterns are one, so they do not overlap."""
        if self.text == other.text:
            return False
        mine, theirs = self._segments(), other._segments()
        return len(mine) == len(theirs) and all(map(_may_meet, mine, theirs))

    def _segments(self) -> list[str]:
        return _SEPARATOR.split(_PLACEHOLDER.sub("{}", self.text))


def _may_meet(one: str, other: str) -> bool:
    """Whether two segments, each with at most one ``{}``, can spell the same text."""
    if "{}" not in one and "{}" not in other:
        return one == other
    (head, _, tail), (other_head, _, other_tail) = one.partition("{}"), other.partition("{}")
    if "{}" not in one:
        return one.startswith(other_head) and one[len(other_head) :].endswith(other_tail)
    if "{}" not in other:
        return other.startswith(head) and other[len(head) :].endswith(tail)
    heads = head.startswith(other_head) or other_head.startswith(head)
    tails = tail.endswith(other_tail) or other_tail.endswith(tail)
    return heads and tails
