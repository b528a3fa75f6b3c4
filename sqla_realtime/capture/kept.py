"""The values that a flush has just stored, where they can't be other than those that the object holds.

A row that was inserted need not be read again if the database had no say in any of its values: plain types, values of
exactly the class that comes back, nothing that the database computes. Whether the database keeps what it is given (no
trigger, no column of another type than the model says) is Ground's to tell.
"""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    Unicode,
    UnicodeText,
    Uuid,
)  # fmt: skip
from sqlalchemy.orm import InstanceState, Mapper

Check = Callable[[Any], bool]
# Names of attributes, their values, and whether these are just what was stored.
Kept = tuple[tuple[str, ...], tuple[Any, ...], bool]

# What goes in comes out, for values of exactly this class. Types of a dialect and of users are not here.
PLAIN: dict[type[Any], type] = {
    Integer: int, BigInteger: int, SmallInteger: int, Boolean: bool, String: str, Text: str, Unicode: str,
    UnicodeText: str, Float: float, Double: float, DateTime: datetime.datetime, Date: datetime.date, Uuid: uuid.UUID,
    LargeBinary: bytes,
}  # fmt: skip
# Tuples of classes that rows have come in; more than this many in one model are rare.
_SIGNATURES = 256


def plain_class(column: object) -> type | None:
    """The class of values that a column stores as they are, None where it may change them."""
    if not isinstance(column, Column) or column.computed is not None:
        return None
    kind: Any = column.type
    if kind._variant_mapping or getattr(kind, "timezone", False) or getattr(kind, "asdecimal", False):
        return None
    if isinstance(kind, Float) and kind.precision is not None and type(kind) is Float:
        return None  # perhaps a real of four bytes
    if isinstance(kind, Uuid) and not kind.as_uuid:
        return None
    return PLAIN.get(type(kind))


def _is_plain_float(value: float) -> bool:
    """SQLite makes NULL of NaN, and 0 of -0."""
    return math.isfinite(value) and (value != 0.0 or math.copysign(1.0, value) > 0)


def _is_plain_time(value: datetime.datetime) -> bool:
    return value.tzinfo is None and not value.fold


def _fits(length: int) -> Check:
    """SQL cuts off spaces beyond the length without a word."""
    return lambda value: len(value) <= length


class Keeper:
    """Keeps the values of some attributes of one mapper's rows, in the order of ``names``."""

    def __init__(self, mapper: Mapper[Any], names: Iterable[str]) -> None:
        self.names = tuple(names)
        columns = [mapper.attrs[name].columns[0] for name in self.names]
        self._classes = [plain_class(column) for column in columns]
        self.able = None not in self._classes
        self._get: Callable[[dict[str, Any]], tuple[Any, ...]] = (
            itemgetter(*self.names) if len(self.names) > 1 else lambda held: (held[self.names[0]],)
        )
        # What the statement leaves to the database is not in the object until it was fetched; the rest is NULL.
        own = zip(self.names, columns, strict=True)
        self._given = [name for name, column in own if column.primary_key or column.default or column.server_default]
        self._checks: list[tuple[int, Check]] = []
        for place, (kind, column) in enumerate(zip(self._classes, columns, strict=True)):
            length = getattr(column.type, "length", None)
            if kind is float:
                self._checks.append((place, _is_plain_float))
            elif kind is datetime.datetime:
                self._checks.append((place, _is_plain_time))
            elif kind is str and length is not None:
                self._checks.append((place, _fits(length)))
        self._signatures: dict[tuple[type, ...], bool] = {}

    def stored(self, state: InstanceState[Any]) -> Kept | None:
        """The values that the object's INSERT has stored; None where the database may hold others."""
        if not self.able:
            return None
        held = state.dict
        for name in self._given:
            if name not in held:
                return None
        try:
            row = self._get(held)
        except KeyError:
            if not state.expired_attributes.isdisjoint(self.names):
                return None  # a SQL expression, whose value only the database knows
            row = tuple([held.get(name) for name in self.names])
        if not self._is_plain(tuple(map(type, row))):
            return None
        for place, check in self._checks:
            value = row[place]
            if value is not None and not check(value):
                return None
        return self.names, row, True

    def held(self, state: InstanceState[Any]) -> Kept | None:
        """The values that the object holds, whatever the database made of them; None where it does not hold them all."""
        try:
            return self.names, self._get(state.dict), False
        except KeyError:
            return None

    def _is_plain(self, signature: tuple[type, ...]) -> bool:
        found = self._signatures.get(signature)
        if found is None:
            found = all(kind in (wanted, type(None)) for kind, wanted in zip(signature, self._classes, strict=True))
            if len(self._signatures) < _SIGNATURES:
                self._signatures[signature] = found
        return found
