"""Reads rows that triggers have written into the log: the database turns its own spelling into values, as a SELECT would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, String, Table, bindparam, cast, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapper

from sqla_realtime.brokers.spelling import Rows
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.fields import column_of
from sqla_realtime.schema.mapping import tables_of
from sqla_realtime.schema.registry import Registry

Key = tuple[Any, ...]
Values = dict[str, Any]


class Form:
    """How the rows of one table are read as those of a mapper and its subclasses: what their publications look at.

    ``readable``: whether they can be, row by row.
    """

    def __init__(self, registry: Registry, mapper: Mapper[Any], table: Table) -> None:
        line = list(mapper.self_and_descendants)
        self.mapper, self._table = mapper, table
        self._names = {each: dict(_columns(registry, each)) for each in line}
        self._wanted = {column.name: column for names in self._names.values() for column in names.values()}
        kind = mapper.polymorphic_on
        self._kind = kind.name if isinstance(kind, Column) else None
        # A row of several tables is known in part only, and a class that an expression decides not at all.
        whole = all(tables_of(each) == [table] for each in line)
        self.readable = whole and (kind is None or self._kind in self._wanted)
        self._keys = [each.name for each in mapper.primary_key]

    def touches(self, connection: Connection, rows: Rows, order: int) -> Iterator[tuple[Key, Touch, Mapper[Any], Values]]:
        """What a statement did to each row that differs: its key, the touch, what it is mapped by now and its values now.

        Raises KeyError where the key was not written down, and what the database raises.
        """
        gone, come = (self._by_key(connection, rows, side) for side in ("gone", "come"))
        for key, (spelled, values) in gone.items():
            was = self._of(values)
            before = self._attributes(was, values)
            if key not in come:
                yield key, Touch("destroy", was, before, order=order), was, {}
            elif come[key][0] != spelled:
                mapper, now = self._of(come[key][1]), self._attributes(self._of(come[key][1]), come[key][1])
                touched = frozenset(name for name in now if name not in before or before[name] != now[name])
                yield key, Touch("update", was, before, touched, order), mapper, now
        for key, (_, values) in come.items():
            if key not in gone:
                mapper = self._of(values)
                yield key, Touch("create", mapper, order=order), mapper, self._attributes(mapper, values)

    def _by_key(self, connection: Connection, rows: Rows, side: str) -> dict[Key, tuple[dict[str, Any], Values]]:
        spelled: Sequence[dict[str, Any]] = getattr(rows, side)
        if not spelled:
            return {}
        columns = [each for name, each in self._wanted.items() if name in spelled[0]]
        source = func.json_populate_recordset(
            literal_column(f"NULL::{connection.dialect.identifier_preparer.format_table(self._table)}"),
            cast(bindparam("body", rows.body, String), JSON)[side],
        ).table_valued(*[column(each.name, each.type) for each in columns], name="spelled")
        found = connection.execute(select(*source.c)).all()
        names = [each.name for each in columns]
        read = [dict(zip(names, row, strict=True)) for row in found]
        return {tuple(row[name] for name in self._keys): (text, row) for text, row in zip(spelled, read, strict=True)}

    def _of(self, values: Mapping[str, Any]) -> Mapper[Any]:
        if self._kind is None:
            return self.mapper
        found: Mapper[Any] = self.mapper.polymorphic_map.get(values[self._kind], self.mapper)
        return found

    def _attributes(self, mapper: Mapper[Any], values: Mapping[str, Any]) -> Values:
        return {name: values[column.name] for name, column in self._names[mapper].items() if column.name in values}


def _columns(registry: Registry, mapper: Mapper[Any]) -> Iterable[tuple[str, Column[Any]]]:
    """The attributes of a mapper's rows that somebody looks at, and their columns."""
    family = registry.of(mapper)
    wanted = (
        {mapper.get_property_by_column(each).key for each in mapper.primary_key} | family.decisive | (family.kinds or set())
    )
    for publication in family.publications:
        wanted |= {*publication.fields.attributes}
    for embed in family.embeds:
        wanted |= {*embed.reads}
    for name in sorted(wanted):
        found = column_of(mapper, name)
        if found is not None:
            yield name, found
