"""A first schema for a model that was published without one: every column but those that look secret."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.orm import ColumnProperty, Mapper

from sqla_realtime.schema.mapping import python_type_of

# Anywhere in a name, or as one of its words: "footprint" is no one-time password and "classname" no social security.
_ANYWHERE = re.compile(r"passw|passphrase|secret|token|credential|api_?key|private_?key|card_?n|session_?id", re.IGNORECASE)
_WORDS = {"pwd", "salt", "otp", "totp", "ssn", "iban", "cvv", "hash", "private"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def looks_secret(*names: str) -> bool:
    """Whether one of these names is such that a reader would think twice before showing its values."""
    return any(_ANYWHERE.search(name) or _is_secret(_WORD.findall(name)) for name in names)


def _is_secret(words: list[str]) -> bool:
    lower = [word.lower() for word in words]
    # is_private and has_salt tell that there is something, not what.
    return lower[:1] not in (["is"], ["has"]) and any(word in _WORDS or word.endswith("hash") for word in lower)


def names_of(prop: ColumnProperty[Any]) -> tuple[str, ...]:
    """The names by which a column goes: its attribute's and its own."""
    return (prop.key, *(str(getattr(column, "name", "")) for column in prop.columns))


def draft_schema(mapper: Mapper[Any]) -> str:
    """Python source of a Pydantic schema for the mapper's columns."""
    name = mapper.class_.__name__
    lines = [f"class {name}Out(BaseModel, from_attributes=True):"]
    for prop in mapper.column_attrs:
        if looks_secret(*names_of(prop)):
            lines.append(f"    # {prop.key} looks secret")
        else:
            lines.append(f"    {prop.key}: {_annotation(prop)}")
    return "\n".join(lines)


def _annotation(prop: ColumnProperty[Any]) -> str:
    column = prop.columns[0]
    python_type = python_type_of(column)
    text = "Any" if python_type is object else python_type.__qualname__
    if python_type.__module__ not in ("builtins", "__main__") and python_type is not object:
        text = f"{python_type.__module__}.{text}"
    return f"{text} | None" if getattr(column, "nullable", True) else text
