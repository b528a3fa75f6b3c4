"""A stored row as strict JSON: what the Pydantic schema makes of it, safe for every browser's JSON.parse."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from sqla_realtime.schema.sendable import compiled, has_decimals, tolerant

# Beyond this JavaScript's numbers skip integers (ECMAScript Number.MAX_SAFE_INTEGER).
MAX_SAFE = 2**53 - 1
# Digits behind a point are a float's, and most floats have many.
_LONG_NUMBER = re.compile(rb"(?<![\d.])\d{16}")


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
        self._text_fields = text_fields

    def dump(self, source: object) -> bytes:
        """The record of ``source``, a mapping or an object with the schema's attributes, as UTF-8 JSON.

        Raises pydantic's ValidationError for a row that the schema refuses, and PydanticSerializationError for a
        value without a JSON form.
        """
        if isinstance(source, Mapping):
            source = {name: source[name] for name in self._reads if name in source}
        value = self._validator.validate_python(source, from_attributes=True)
        text = self._serializer.to_json(value, by_alias=True)
        if not self._text_fields and not _LONG_NUMBER.search(text):
            return text
        plain: Any = self._serializer.to_python(value, mode="json", by_alias=True)
        for field in self._text_fields if isinstance(plain, dict) else ():
            # A schema may leave the field out.
            if type(plain.get(field)) is int:
                plain[field] = str(plain[field])
        return to_json(_spell_long(plain), inf_nan_mode="null")


def _spell_long(value: Any) -> Any:
    """The same value with every integer that a browser would round as text."""
    if type(value) is int:
        return value if -MAX_SAFE <= value <= MAX_SAFE else str(value)
    if isinstance(value, dict):
        return {key: _spell_long(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spell_long(item) for item in value]
    return value
