"""What SQLAlchemy's mappers say about rows: of which classes a row can be, in which tables, and what decides it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, ColumnElement, Table
from sqlalchemy.orm import Mapper


def line_of(mapper: Mapper[Any]) -> Iterator[Mapper[Any]]:
    """A mapper and those of its ancestors whose SELECT finds its rows."""
    yield mapper
    parent = mapper.inherits
    # A concrete one has a table of its own, which its parent reads only if it is told to (with a polymorphic union).
    if parent is not None and not (mapper.concrete and parent.polymorphic_on is None):
        yield from line_of(parent)


def root_of(mapper: Mapper[Any]) -> Mapper[Any]:
    """The mapper among whose rows a key is unique."""
    return mapper if mapper.inherits is None or mapper.concrete else root_of(mapper.inherits)


def kinds_of(root: Mapper[Any]) -> frozenset[str] | None:
    """The attributes that decide a row's class, None where that is not known."""
    if root.concrete or root.polymorphic_on is None:
        return frozenset()
    if isinstance(root.polymorphic_on, Column) and root.polymorphic_on in root.columns.values():
        return frozenset({root.get_property_by_column(root.polymorphic_on).key})
    return None


def akin(one: Mapper[Any], other: Mapper[Any]) -> bool:
    """Whether a row read through the one may be a row of the other."""
    return one in line_of(other) or other in line_of(one)


def tables_of(mapper: Mapper[Any]) -> list[Table]:
    """The tables that hold parts of its rows."""
    return [table for table in mapper.tables if isinstance(table, Table)]


def python_type_of(column: ColumnElement[Any]) -> type:
    """The class of a column's values; ``object`` where its type names none, as a type of the user's own may."""
    try:
        return column.type.python_type
    except NotImplementedError:
        return object


def late_keys(mapper: Mapper[Any]) -> Iterator[str]:
    """The foreign keys that a flush sets in a second UPDATE of its own (post_update), without saying so."""
    for other in mapper.registry.mappers:
        for relationship in other.relationships:
            if relationship.post_update:
                for _, column in relationship.synchronize_pairs:
                    if column in mapper.columns.values():
                        yield mapper.get_property_by_column(column).key
