"""A JSON parser that takes nothing but RFC 8259: no NaN, no name twice, no number that a browser would read differently."""

from __future__ import annotations

import json
from typing import Any


def strict(text: bytes | str | None) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError for what a browser would refuse or misread."""
    assert text is not None
    return json.loads(
        text.decode() if isinstance(text, bytes) else text,
        parse_constant=_constant,
        object_pairs_hook=_object,
        parse_int=_integer,
    )


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError(f"a name stands twice: {[name for name, _ in pairs]}")
    return made


def _integer(digits: str) -> int:
    value = int(digits)
    if int(float(value)) != value or abs(value) >= 2**53:
        raise ValueError(f"a browser rounds {digits}")
    return value
