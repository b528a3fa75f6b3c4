"""How a schema's fields read a model's attributes; every mistake that can be known at declaration is found here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import BigInteger, Column, TypeDecorator
from sqlalchemy.orm import ColumnProperty, Mapper, RelationshipProperty, SynonymProperty

from sqla_realtime.errors import SchemaMismatch, SchemaUnsendable, SecretColumn
from sqla_realtime.schema.draft import looks_secret, names_of
from sqla_realtime.schema.embeds import Embed, read_embed


@dataclass(frozen=True, slots=True)
class Fields:
    """One schema on one model.

    ``attributes`` maps the attribute that a field reads to the name that the record gives it. ``opaque`` are those of
    them that are no plain columns (hybrids, properties, expressions), and the computed fields: what they depend on is
    not known, so they count as changed whenever anything did. ``embeds`` are the relationships among them, at any depth.
    ``keys`` are the attributes of the primary key, which an
    update never changes. ``text`` are the record's names of big integer keys.
    """

    schema: type[BaseModel]
    attributes: dict[str, str]
    opaque: frozenset[str]
    keys: frozenset[str]
    text: frozenset[str]
    needs_object: bool
    embeds: tuple[Embed, ...] = ()

    @property
    def spelled(self) -> tuple[str, ...]:
        """The record's fields, as it spells them, in its order."""
        computed = (field.alias or name for name, field in self.schema.model_computed_fields.items())
        return (*self.attributes.values(), *computed)


def read_fields(
    mapper: Mapper[Any],
    schema: type[BaseModel],
    expose: Collection[str],
    above: Sequence[RelationshipProperty[Any]] = (),
    outer: Sequence[type[BaseModel]] = (),
) -> Fields:
    """The fields of ``schema`` on the model of ``mapper``, which the relationships ``above`` lead to from the published
    model, whose schemas are ``outer``.

    Raises SchemaMismatch, SecretColumn (unless ``expose`` has the field) or SchemaUnsendable.
    """
    # Names in annotations may have been defined later than the class; what is undefined is refused where it is compiled.
    schema.model_rebuild(raise_errors=False)
    attributes: dict[str, str] = {}
    opaque, text = set(), set()
    embeds: list[Embed] = []
    for name, info in schema.model_fields.items():
        attribute = _attribute(mapper, schema, name, info)
        if attribute in attributes:
            raise SchemaUnsendable(
                schema=schema.__name__,
                reason=f"{name} and {attributes[attribute]} both read {mapper.class_.__name__}.{attribute}.",
                remedy="Remove one of them.",
            )
        column = _column(mapper, schema, name, attribute, expose)
        spelled = info.serialization_alias or name
        attributes[attribute] = spelled
        if attribute in mapper.relationships:
            embeds += _embedded(mapper.relationships[attribute], info.annotation, schema, above, outer)
        elif column is None:
            opaque.add(spelled)
        elif _is_big_key(column):
            text.add(spelled)
    for name, computed in schema.model_computed_fields.items():
        opaque.add(computed.alias or name)
    keys = frozenset(mapper.get_property_by_column(column).key for column in mapper.primary_key)
    return Fields(
        schema, attributes, frozenset(opaque), keys, frozenset(text), _needs_object(mapper, schema, attributes), tuple(embeds)
    )


def column_of(mapper: Mapper[Any], attribute: str) -> Column[Any] | None:
    """The table's column behind a mapped attribute, or None where it is not a plain column."""
    prop = mapper.attrs.get(attribute)
    if isinstance(prop, ColumnProperty) and isinstance(prop.columns[0], Column):
        return prop.columns[0]
    return None


def _attribute(mapper: Mapper[Any], schema: type[BaseModel], name: str, info: FieldInfo) -> str:
    alias = info.validation_alias or info.alias or name
    if not isinstance(alias, str):
        raise SchemaUnsendable(
            schema=schema.__name__,
            reason=f"{name} has several validation aliases, so which attribute it reads is a guess.",
            remedy="Give it one: validation_alias='attribute'.",
        )
    by_name = schema.model_config.get("validate_by_name") or schema.model_config.get("populate_by_name")
    # Pydantic looks for the alias first.
    return name if by_name and not hasattr(mapper.class_, alias) else alias


def _column(
    mapper: Mapper[Any], schema: type[BaseModel], name: str, attribute: str, expose: Collection[str]
) -> Column[Any] | None:
    model = mapper.class_.__name__
    if not hasattr(mapper.class_, attribute):
        known = ", ".join(sorted(mapper.all_orm_descriptors.keys()))
        raise SchemaMismatch(schema=schema.__name__, field=name, model=model, attribute=attribute, attributes=known)
    prop = mapper.attrs.get(attribute)
    if isinstance(prop, SynonymProperty):
        prop = mapper.attrs.get(prop.name)
    names = names_of(prop) if isinstance(prop, ColumnProperty) else ()
    if looks_secret(name, attribute, *names) and name not in expose:
        raise SecretColumn(schema=schema.__name__, field=name, model=model, attribute=attribute)
    return column_of(mapper, attribute)


def _embedded(
    step: RelationshipProperty[Any],
    annotation: Any,
    schema: type[BaseModel],
    above: Sequence[RelationshipProperty[Any]],
    outer: Sequence[type[BaseModel]],
) -> list[Embed]:
    """An embedded relationship, and those that its own schema embeds."""
    nested = read_embed(step, annotation, schema, (*outer, schema))
    path = (*above, step)
    fields = read_fields(step.mapper, nested, (), path, (*outer, schema))
    return [Embed(path, tuple(fields.attributes), bool(fields.opaque)), *fields.embeds]


def _is_big_key(column: Column[Any]) -> bool:
    kind = column.type
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return isinstance(kind, BigInteger) and bool(column.primary_key or column.foreign_keys)


def _needs_object(mapper: Mapper[Any], schema: type[BaseModel], attributes: Collection[str]) -> bool:
    """Whether the schema must be given an instance of the model: for what only Python computes, or validators that look."""
    before = any(
        validator.info.mode in ("before", "wrap") for validator in schema.__pydantic_decorators__.model_validators.values()
    )
    return before or any(column_of(mapper, attribute) is None for attribute in attributes)
