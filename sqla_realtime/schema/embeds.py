"""Relationships that a schema embeds: which they are, what is loaded for them, and whose rows a record depends on."""

from __future__ import annotations

import types
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from sqlalchemy import Table
from sqlalchemy.orm import Mapper, RelationshipProperty, selectinload
from sqlalchemy.orm.interfaces import MANYTOONE, ONETOMANY

from sqla_realtime.errors import SchemaUnsendable

# Loaders that never give a list of the related rows, whatever the schema says.
_UNLOADABLE = ("dynamic", "write_only", "noload")


@dataclass(frozen=True, slots=True)
class Embed:
    """One embedded relationship, ``path`` long from the published model; ``reads`` are the attributes that its schema
    reads of the related rows, and ``opaque`` whether some of them depend on others that nobody knows."""

    path: tuple[RelationshipProperty[Any], ...]
    reads: tuple[str, ...]
    opaque: bool

    @property
    def name(self) -> str:
        """The attribute of the published model that the record changes with."""
        return self.path[0].key

    @property
    def parent(self) -> Mapper[Any]:
        """Whose relationship the last step is."""
        return self.path[-1].parent

    @property
    def related(self) -> Mapper[Any]:
        """Whose rows it leads to."""
        return self.path[-1].mapper

    @property
    def association(self) -> Table | None:
        """The table of a many-to-many."""
        secondary = self.path[-1].secondary
        return secondary if isinstance(secondary, Table) else None

    @property
    def foreign_keys(self) -> dict[str, str]:
        """Where the related rows refer to the parent: their attribute to the parent's. Empty for other directions."""
        step = self.path[-1]
        if step.direction is not ONETOMANY:
            return {}
        pairs = step.local_remote_pairs or ()
        return {_attribute(self.related, remote): _attribute(self.parent, local) for local, remote in pairs}

    @property
    def local_keys(self) -> frozenset[str]:
        """Where the parent refers to the related row: its own attributes. Empty for other directions."""
        step = self.path[-1]
        return (
            frozenset(_attribute(self.parent, column) for column in step.local_columns)
            if step.direction is MANYTOONE
            else frozenset()
        )

    def option(self) -> Any:
        """Loads the related rows, one SELECT a step, with what the schema reads."""
        first, *others = (step.class_attribute for step in self.path)
        option: Any = selectinload(first)
        for step in others:
            option = option.selectinload(step)
        for name in self.reads:
            if name in self.related.column_attrs:
                option = option.undefer(getattr(self.related.class_, name))
        return option


def embedded_schema(annotation: Any) -> type[BaseModel] | None:
    """The schema of related rows in a field's annotation: ``S``, ``S | None``, ``list[S]`` and the like; None for others."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, tuple, set, frozenset, Union, types.UnionType):
        found = [embedded_schema(each) for each in get_args(annotation) if each not in (type(None), Ellipsis)]
        return found[0] if len(found) == 1 else None
    return None


def read_embed(
    step: RelationshipProperty[Any],
    annotation: Any,
    schema: type[BaseModel],
    outer: Collection[type[BaseModel]],
) -> type[BaseModel]:
    """Check one embedded relationship; the schema of its rows. Raises SchemaUnsendable."""

    def refuse(reason: str, remedy: str) -> SchemaUnsendable:
        return SchemaUnsendable(
            schema=schema.__name__, reason=f"{step.parent.class_.__name__}.{step.key} {reason}", remedy=remedy
        )

    nested = embedded_schema(annotation)
    if nested is None:
        raise refuse("is a relationship, and its type is no Pydantic model.", "Write list[ChildOut], or ParentOut | None.")
    if nested in outer:
        raise refuse(f"embeds {nested.__name__} in itself, without an end.", "Give the inner rows a schema of their own.")
    if step.lazy in _UNLOADABLE:
        raise refuse(f"is lazy={step.lazy!r}, which loads no list.", "Map another relationship for it, with viewonly=True.")
    return nested


def _attribute(mapper: Mapper[Any], column: Any) -> str:
    return mapper.get_property_by_column(column).key
