"""Predicts what the database will do to published rows when others go: ON DELETE and ON UPDATE, read off the metadata.

The dependent rows are read before the statement that sets the database off; at COMMIT they are read again, and what
differs is told. Where foreign keys are not enforced nothing differs, and nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, MetaData, Table, TableClause, select
from sqlalchemy.orm import Mapper

from sqla_realtime.capture.associations import touch_parents
from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger, row_key
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.reader import Lock, Reader, key_conditions
from sqla_realtime.schema.references import Reference, references
from sqla_realtime.schema.registry import Registry

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table, as the WHERE that selects them."""

    table: Table
    condition: ColumnElement[bool] | None


class Cascades:
    """Touches the rows that the database will change by itself. ``limit`` bounds how many of one table are followed."""

    def __init__(self, registry: Registry, wants: Callable[[str], bool], order: Iterator[int], limit: int) -> None:
        self._registry = registry
        self._wants = wants
        self._order = order
        self._limit = limit
        self._published: tuple[list[Table], list[Table]] = ([], [])
        self._metadata: list[MetaData] = []
        self._seen = -1
        self._references: dict[Table, list[Reference]] = {}

    def sources(self) -> dict[Table, list[Reference]]:
        """The references that lead to published rows, by the table whose rows they refer to."""
        published, known = (self._registry.published_tables(), self._registry.association_tables()), self._published
        if published[0] is not known[0] or published[1] is not known[1]:
            self._metadata = list({table.metadata for tables in published for table in tables})
            self._published, self._seen = published, -1
        size = sum([len(metadata.tables) for metadata in self._metadata])
        if size != self._seen:
            self._references, self._seen = references([*published[0], *published[1]]), size
        return self._references

    def reached(self, table: Table) -> set[Mapper[Any]]:
        """The mappers of every published row that a change of this table's rows can reach."""
        reached: set[Mapper[Any]] = set()
        waiting, known = [table], {table}
        while waiting:
            for reference in self.sources().get(waiting.pop(), ()):
                reached.update(self._registry.mappers(reference.child.fullname))
                if reference.child not in known:
                    known.add(reference.child)
                    waiting.append(reference.child)
        return reached

    def deleted(self, connection: Connection, ledger: Ledger, rows: Rows) -> None:
        """These rows are about to be deleted."""
        with aside(connection, ledger):
            self._walk(connection, ledger, rows, {})

    def rekeyed(self, connection: Connection, ledger: Ledger, rows: Rows, own: Collection[TableClause] = ()) -> None:
        """Columns that others refer to are about to change in these rows, of which ``own`` holds the other parts."""
        with aside(connection, ledger):
            for reference in self.sources().get(rows.table, ()):
                if reference.on_update and reference.child not in own:
                    again = {column for other in self.sources().get(reference.child, ()) for column in other.referred}
                    if again.isdisjoint(reference.columns) and not any(each.primary_key for each in reference.columns):
                        self._touch(connection, ledger, reference, rows, gone=False)
                    else:
                        ledger.tracker.doubt(
                            (*self._registry.mappers(reference.child.fullname), *self.reached(reference.child))
                        )

    def _walk(self, connection: Connection, ledger: Ledger, rows: Rows, known: dict[Table, set[Key]]) -> None:
        for reference in self.sources().get(rows.table, ()):
            if not reference.on_delete:
                continue
            self._touch(connection, ledger, reference, rows, gone=reference.cascades)
            child = reference.child
            if reference.cascades and child in self.sources():
                key = list(child.primary_key.columns)
                chosen = select(*key).where(reference.rows(rows.condition)).limit(self._limit + 1)
                found = {tuple(row) for row in connection.execute(chosen)}
                fresh = found - known.setdefault(child, set())
                known[child] |= fresh
                if len(found) > self._limit:
                    ledger.tracker.doubt(self.reached(child))
                else:
                    for condition in key_conditions(key, [*fresh]):
                        self._walk(connection, ledger, Rows(child, condition), known)

    def _touch(self, connection: Connection, ledger: Ledger, reference: Reference, rows: Rows, *, gone: bool) -> None:
        for embed in self._registry.associations(reference.child.fullname):
            touch_parents(connection, ledger, embed, reference.rows(rows.condition), next(self._order), side=True)
        for mapper in self._registry.mappers(reference.child.fullname):
            publications = self._registry.related(mapper)
            if not any(map(self._wants, self._registry.patterns(mapper))):
                ledger.tracker.doubt((mapper,))
                continue
            reader = Reader(mapper, publications, columns=True, also=sorted(self._registry.of(mapper).decisive))
            condition = reference.rows(rows.condition)
            images = reader.matching(connection, condition, self._limit + 1, Lock(reference.child, gone))
            if len(images) > self._limit:
                ledger.tracker.doubt((mapper,))
            for image in images:
                if self._registry.of(image.mapper).observed:
                    touch = Touch("update", image.mapper, image.values, order=next(self._order), side=True)
                    ledger.tracker.record(row_key(self._registry.of(image.mapper).root.class_, image.key), touch)


def rows_with_keys(mapper: Mapper[Any], keys: Sequence[Key]) -> Iterator[Rows]:
    """The rows of every table of a mapper that have these primary keys."""
    for table in mapper.tables:
        if isinstance(table, Table):
            for condition in key_conditions(list(table.primary_key.columns), keys):
                yield Rows(table, condition)
