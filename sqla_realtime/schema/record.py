"""A stored row as strict JSON: what the Pydantic schema makes of it, safe for every browser's JSON.parse."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic_core import to_json

from sqla_realtime.schema.sendable import compiled, has_decimals, tolerant

# Beyond this JavaScript's numbers skip integers (ECMAScript Number.MAX_SAFE_INTEGER).
MAX_SAFE = 2**53 - 1
_LONG_NUMBER = re.compile(rb"\d{16}")
# Core schemas of pydantic whose JSON never holds an integer beyond MAX_SAFE. Whatever is not listed is looked at.
_SHORT = frozenset(("str", "float", "bool", "datetime", "date", "time", "timedelta", "uuid", "decimal", "bytes", "none"))


class Recorder:
    """Makes the JSON text of one schema.

    ``reads`` are the attributes that its fields read; whatever else a mapping holds never reaches the schema, which
    might let it through. ``text_fields`` are the fields, as the record spells them, whose integers are always text.
    """

    def __init__(self, schema: type[BaseModel], reads: Collection[str], text_fields: frozenset[str]) -> None:
        adapter = compiled(schema)
        self._validator, self._serializer = adapter.validator, adapter.serializer
        if has_decimals(adapter.core_schema):
            self._validator, self._serializer = tolerant(schema, adapter.core_schema)
        self._reads = tuple(reads)
        self._names = frozenset(reads)
        self._text_fields = text_fields
        self._integers = _integers(adapter.core_schema)

    def dump(self, source: object) -> bytes:
        """The record of ``source``, a mapping or an object with the schema's attributes, as UTF-8 JSON.

        Raises pydantic's ValidationError for a row that the schema refuses, and PydanticSerializationError for a
        value without a JSON form.
        """
        # The plain class first: asking an abstract one takes as long as the validation.
        fresh = type(source) is dict or isinstance(source, Mapping)
        if fresh:
            held = cast(Mapping[str, Any], source)
            if held.keys() != self._names:
                source = {name: held[name] for name in self._reads if name in held}
        value = self._validator.validate_python(source, from_attributes=True)
        text = self._serializer.to_json(value, by_alias=True)
        if not self._text_fields and not self._may_be_long(value, text, fresh=fresh):
            return text
        plain: Any = self._serializer.to_python(value, mode="json", by_alias=True)
        for field in self._text_fields if isinstance(plain, dict) else ():
            # A schema may leave the field out.
            if type(plain.get(field)) is int:
                plain[field] = str(plain[field])
        return to_json(_spell_long(plain), inf_nan_mode="null")

    def _may_be_long(self, value: Any, text: bytes, *, fresh: bool) -> bool:
        """Whether an integer may be beyond MAX_SAFE; ``fresh``: the schema has checked the type of everything."""
        if self._integers is not None and fresh:
            if not self._integers:
                return False
            fields = value.__dict__
            numbers = [fields.get(name) or 0 for name in self._integers]
            return not (min(numbers) >= -MAX_SAFE and max(numbers) <= MAX_SAFE)
        return _LONG_NUMBER.search(text) is not None


def _integers(schema: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The fields that hold integers, where no other can; None where that is not plain to see."""
    inner = schema.get("schema", {})
    plain = schema["type"] == "model" and inner["type"] == "model-fields" and not inner.get("computed_fields")
    if not plain or inner.get("extras_schema") or {"serialization", "post_init"} & {*schema, *inner}:
        return None
    if schema.get("config", {}).get("extra_fields_behavior") == "allow":
        return None
    kinds = {name: _kind(field["schema"]) for name, field in inner["fields"].items() if field["type"] == "model-field"}
    if len(kinds) < len(inner["fields"]) or not set(kinds.values()) <= _SHORT | {"int"}:
        return None
    return tuple(name for name, kind in kinds.items() if kind == "int")


def _kind(schema: Mapping[str, Any]) -> str:
    """The core type of a field, whether or not it may be None or has a default."""
    while schema["type"] in ("nullable", "default") and "serialization" not in schema:
        schema = schema["schema"]
    return "" if "serialization" in schema else str(schema["type"])


def _spell_long(value: Any) -> Any:
    """The same value with every integer that a browser would round as text."""
    if type(value) is int:
        return value if -MAX_SAFE <= value <= MAX_SAFE else str(value)
    if isinstance(value, dict):
        return {key: _spell_long(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spell_long(item) for item in value]
    return value
