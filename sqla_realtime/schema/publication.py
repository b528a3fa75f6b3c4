"""A Publication: a model, the schema of what may leave, and the pattern of its channels; checked in full when it is made."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, ColumnElement, Integer, inspect, literal
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper

from sqla_realtime.errors import BadParameterType, BadPattern, NotMapped, SchemaMissing, SchemaUnsendable, UnknownPlaceholder
from sqla_realtime.schema.channels import Parameter, Pattern
from sqla_realtime.schema.draft import draft_schema
from sqla_realtime.schema.exact import equals
from sqla_realtime.schema.fields import Fields, column_of, read_fields
from sqla_realtime.schema.mapping import python_type_of
from sqla_realtime.schema.predicate import Predicate
from sqla_realtime.schema.record import Recorder
from sqla_realtime.schema.route import Route

# How many channels' names a publication remembers.
NAMES = 4096
# What a changed row's record is made of: the row as it is stored, or what the object held when its flush was done.
Read = Literal["stored", "attributes"]
# How many sets of attributes.
SETS = 256
_SPELLED_ALIKE = frozenset((int, str, uuid.UUID, datetime.date))


class Publication:
    """What one model sends on one pattern of channels. Immutable after it is made.

    ``decisive`` are the attributes that decide which of the channels a row is in.
    ``volatile`` are attributes that the database or the mapping may change in any UPDATE (onupdate, computed columns,
    the version counter): they are compared whenever the row was touched.
    ``read`` is what changed rows are told from.
    ``alias`` are the channels' names for foreign clients.
    ``spelled`` are the record's fields in its order; ``shown`` remembers which of them show the attributes of a set.
    """

    def __init__(
        self,
        model: type[Any],
        schema: type[BaseModel] | None,
        channel: str,
        *,
        where: ColumnElement[bool] | None = None,
        route: Route | None = None,
        name: str | None = None,
        expose: Collection[str] = (),
        read: Read = "stored",
        alias: str | None = None,
    ) -> None:
        self.model = model
        self.mapper = mapper_of(model)
        if schema is None:
            raise SchemaMissing(model=model.__name__, draft=draft_schema(self.mapper))
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise SchemaUnsendable(
                schema=getattr(schema, "__name__", repr(schema)),
                reason="this is not a Pydantic model.",
                remedy="Derive it from pydantic.BaseModel.",
            )
        self.pattern = Pattern(channel)
        self.parameters = route.parameters(model, self.pattern) if route else _parameters(self.mapper, self.pattern)
        self.alias = None if alias is None else _alias(alias, self.pattern)
        self._route = route
        self._predicate = None if where is None else Predicate(self.mapper, where)
        decisive = route.reads if route else self.pattern.placeholders
        self.decisive = frozenset(decisive) | (self._predicate.reads if self._predicate else frozenset())
        _check_columns(self.mapper, self.pattern, self.decisive)
        self.fields = read_fields(self.mapper, schema, expose)
        self.read = read
        _check_read(self.fields, read)
        self.spelled = self.fields.spelled
        self.recorder = Recorder(schema, self.fields.attributes, self.fields.text)
        self.volatile = frozenset(prop.key for prop in self.mapper.column_attrs if _is_volatile(self.mapper, prop.columns[0]))
        self._name = name
        self.shown: dict[frozenset[str] | None, tuple[str, ...]] = {}
        self._names: dict[Any, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"Publication({self.model.__name__}, {self.pattern.text!r})"

    def cls(self, mapper: Mapper[Any]) -> str:
        """The ``class`` of a row of this mapper; a subclass is named as itself where it is loaded as itself."""
        if self.mapper.polymorphic_on is None:
            mapper = self.mapper
        if mapper is self.mapper and self._name is not None:
            return self._name
        return mapper.class_.__name__

    @property
    def classes(self) -> set[str]:
        """Every ``class`` that its rows may be of."""
        return {self.cls(mapper) for mapper in self.mapper.self_and_descendants}

    def channels(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The channels of a row with these attribute values, each once."""
        if self._predicate is not None and not self._predicate(values):
            return ()
        if self._route is None:
            return self._named(values)
        names = (self.pattern.name(each, self.parameters) for each in self._route(values))
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def _named(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The channel that the pattern alone makes of these values; most rows are in one that an earlier row was in."""
        placeholders = self.pattern.placeholders
        place: Any = values[placeholders[0]] if len(placeholders) == 1 else tuple([values[name] for name in placeholders])
        # Of these alone equals are spelled alike: 1, True and 1.0 are one key of a dictionary.
        alike = type(place) in _SPELLED_ALIKE or (type(place) is tuple and _SPELLED_ALIKE.issuperset(map(type, place)))
        known = self._names.get(place) if alike else None
        if known is not None:
            return known
        name = self.pattern.name(values, self.parameters)
        found = () if name is None else (name,)
        if alike:
            if len(self._names) >= NAMES:
                self._names.clear()
            self._names[place] = found
        return found

    def where(self, values: Mapping[str, Any]) -> list[ColumnElement[bool]]:
        """The WHERE of one channel: the pattern's parameters as conditions, and the publication's own."""
        own = [] if self._predicate is None else [self._predicate.clause]
        if self._route is not None:
            return [*own, self._route.where(self.model, self.mapper, values)]
        return [*own, *(_equals(getattr(self.model, name), values[name]) for name in self.pattern.placeholders)]


def _equals(attribute: Any, value: Any) -> ColumnElement[bool]:
    # A parameter is cast to its column's type, and PostgreSQL fails where a number that anybody may ask for is too large.
    return equals(attribute, literal(value, BigInteger) if isinstance(attribute.type, Integer) else value)


def mapper_of(model: object) -> Mapper[Any]:
    """The mapper of a mapped class. Raises NotMapped."""
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        raise NotMapped(model=model) from None
    if not isinstance(mapper, Mapper):
        raise NotMapped(model=model)
    return mapper


def _parameters(mapper: Mapper[Any], pattern: Pattern) -> dict[str, Parameter]:
    parameters = {}
    model = mapper.class_.__name__
    for placeholder in pattern.placeholders:
        column = column_of(mapper, placeholder)
        if column is None:
            known = ", ".join(prop.key for prop in mapper.column_attrs)
            raise UnknownPlaceholder(pattern=pattern.text, model=model, placeholder=placeholder, attributes=known)
        python_type = python_type_of(column)
        parameter = Parameter.of(python_type)
        if parameter is None:
            raise BadParameterType(pattern=pattern.text, model=model, placeholder=placeholder, type=python_type.__name__)
        parameters[placeholder] = parameter
    return parameters


def _alias(text: str, pattern: Pattern) -> Pattern:
    alias = Pattern(text)
    if set(alias.placeholders) != set(pattern.placeholders):
        reason = f"an alias of {pattern.text!r} has the placeholders of that pattern"
        raise BadPattern(pattern=text, reason=reason)
    return alias


def _check_columns(mapper: Mapper[Any], pattern: Pattern, names: Collection[str]) -> None:
    for name in names:
        if column_of(mapper, name) is None:
            known = ", ".join(prop.key for prop in mapper.column_attrs)
            raise UnknownPlaceholder(pattern=pattern.text, model=mapper.class_.__name__, placeholder=name, attributes=known)


def _check_read(fields: Fields, read: str) -> None:
    reason = None
    if read not in get_args(Read):
        reason = f"read={read!r} is none of {', '.join(map(repr, get_args(Read)))}."
    elif read == "attributes" and fields.needs_object:
        reason = 'with read="attributes" a schema has plain columns alone, and no validator that looks at the whole object.'
    if reason is not None:
        raise SchemaUnsendable(schema=fields.schema.__name__, reason=reason, remedy='Leave out read=: it is "stored" then.')


def _is_volatile(mapper: Mapper[Any], column: object) -> bool:
    if not isinstance(column, Column):
        return False
    return bool(column.onupdate or column.server_onupdate or column.computed or column is mapper.version_id_col)
