"""Makes changes of what triggers have written into the log, and joins them with what the transaction's own process has told.

A publication that shows more than columns of a row (related rows, what Python computes) can't be told from the row alone: its
channels are said to have changed, unless the process that changed the row through the ORM has told it already. What both
have told is told once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper

from sqla_realtime.brokers.spelling import Rows
from sqla_realtime.brokers.triggers import declared
from sqla_realtime.capture.ledger import row_key
from sqla_realtime.capture.relations import shows
from sqla_realtime.capture.spelled import Form
from sqla_realtime.capture.telling import Row, Told, places, tell
from sqla_realtime.capture.tracker import Tracker
from sqla_realtime.capture.watched import check
from sqla_realtime.commit import Commit
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Image
from sqla_realtime.schema.references import Reference, references
from sqla_realtime.schema.registry import Registry

log = logging.getLogger(__name__)

Key = tuple[Any, ...]


@dataclass(slots=True)
class _Account:
    """What is known of one transaction so far: its rows, the patterns in doubt, and the tables of which all is known."""

    tracker: Tracker = field(default_factory=Tracker)
    rows: dict[Any, tuple[Key, Image]] = field(default_factory=dict)
    doubt: set[str] = field(default_factory=set)
    tables: set[Table] = field(default_factory=set)


class Interpreter:
    """Called in the thread that reads the log, with a connection that commits by itself. The same rows give the same changes
    to everybody who has the same declarations."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen: tuple[list[Table], list[Table]] = ([], [])
        self._sources: dict[Table, list[Reference]] = {}
        self._tables: dict[tuple[str | None, str], Table] = {}
        self._forms: dict[tuple[Mapper[Any], Table], Form] = {}

    def ready(self, connection: Connection) -> None:
        check(connection, self._registry)

    def __call__(self, connection: Connection, statements: Sequence[Rows], told: Commit) -> Commit:
        """What a transaction amounts to that has executed these statements on watched tables and told this by itself.

        Raises DBAPIError where the database has gone away. Any other mistake has everybody load everything anew: raised, it
        would be made again at each look, and nobody would hear of anything any more.
        """
        try:
            return self._made(connection, statements, told)
        except Exception as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            log.exception("What triggers have written could not be told; everything is loaded anew. [watched-failed]")
            patterns = frozenset(each.pattern.text for each in self._registry)
            return replace(told, invalidated=told.invalidated | patterns)

    def _made(self, connection: Connection, statements: Sequence[Rows], told: Commit) -> Commit:
        self._look()
        account = _Account()
        for order, rows in enumerate(statements):
            table, ours = self._tables.get((rows.schema, rows.table)), True
            if table is None:
                # Which schema a table is in that does not say so is the writer's affair: one of that name elsewhere may be
                # ours or somebody else's, so nothing of it is shown, and nobody is left with what may be old.
                table, ours = self._tables.get((None, rows.table)), rows.schema == connection.dialect.default_schema_name
            if table is not None and ours:
                account.tables.add(table)
                self._follow(connection, account, table, rows, order)
            elif table is not None:
                self._follow(connection, account, table, replace(rows, many=True), order)
        return self._joined(account, told)

    def _look(self) -> None:
        """Which tables there are, where something was declared since."""
        seen = (self._registry.published_tables(), self._registry.association_tables())
        if seen[0] is not self._seen[0] or seen[1] is not self._seen[1]:
            self._sources = references([*seen[0], *seen[1]])
            self._tables = {(table.schema, table.name): table for table in (*seen[0], *seen[1], *self._sources)}
            self._forms = {}
            self._seen = seen

    def _follow(self, connection: Connection, account: _Account, table: Table, rows: Rows, order: int) -> None:
        for mapper in self._registry.mappers(table.fullname):
            form = self._forms.get((mapper, table))
            if form is None:
                form = self._forms[mapper, table] = Form(self._registry, mapper, table)
            if rows.many or not form.readable or not self._record(connection, account, form, rows, order):
                account.doubt |= self._registry.patterns(mapper)
        account.doubt |= self._linked(table)
        account.doubt |= self._carried(table, rows)

    def _record(self, connection: Connection, account: _Account, form: Form, rows: Rows, order: int) -> bool:
        """Note each row that a statement changed; False where they can't be told one by one."""
        root = self._registry.of(form.mapper).root.class_
        try:
            for key, touch, now, values in form.touches(connection, rows, order):
                place = row_key(root, key)
                account.tracker.record(place, touch)
                account.rows[place] = key, Image(key, now, values, values)
        except Exception as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            log.exception("Rows of %s in the log could not be read; their readers reload. [watched-unread]", rows.table)
            return False
        return True

    def _linked(self, table: Table) -> set[str]:
        """The patterns whose records show rows that a many-to-many through this table leads to."""
        embeds = self._registry.associations(table.fullname)
        return {pattern for embed in embeds for pattern in self._registry.patterns(embed.path[0].parent)}

    def _carried(self, table: Table, rows: Rows) -> set[str]:
        """The patterns of rows that the database changed along with these, in tables that are not watched themselves."""
        found: set[str] = set()
        for reference in self._sources.get(table, ()):
            deleted = reference.on_delete and (rows.many or bool(rows.gone and not rows.come))
            if (deleted or (reference.on_update and _rekeyed(reference, rows))) and not declared([reference.child]):
                found |= self._linked(reference.child)
                for mapper in self._registry.mappers(reference.child.fullname):
                    found |= self._registry.patterns(mapper)
                found |= self._carried(reference.child, Rows(rows.schema, reference.child.name, [], [], many=True, body=""))
        return found

    def _joined(self, account: _Account, told: Commit) -> Commit:
        doubt = account.doubt
        for mapper in account.tracker.doubts():
            doubt |= self._registry.patterns(mapper)
        own, loose = Told([], []), []
        for place, touch in account.tracker.net().items():
            key, image = account.rows[place]
            row = Row(image.mapper, key, touch, None if touch.kind == "destroy" else image)
            publications = {each: _is_exact(each, row) for each in self._publications(row)}
            tell([row], [each for each, exact in publications.items() if exact], own, doubt)
            loose += [(each, row) for each, exact in publications.items() if not exact]
            doubt |= self._shown(row)
        # What the process itself has not told is a cascade's or raw SQL's, which nobody can tell apart, but no cascade makes
        # rows. To be told of one's own row again does harm only where it is a new one.
        sides = {(each.channel, each.cls, each.id): each.side for each in told.changes}
        changes = [
            each._replace(side=sides.get((each.channel, each.cls, each.id), each.type != "create")) for each in own.in_order()
        ]
        known = {(each.channel, each.cls, each.id) for each in changes}
        more = [each for each in told.changes if (each.channel, each.cls, each.id) not in known]
        known = {(each.channel, each.cls, each.id) for each in more}
        for publication, row in loose:
            doubt |= set(_untold(publication, row, known))
        left = {each for each in told.invalidated if not self._is_covered(each, account)}
        return Commit((*changes, *more), frozenset(doubt | left), told.origin, told.orders, told.events)

    def _publications(self, row: Row) -> dict[Publication, None]:
        mappers = {row.mapper, row.touch.subject}
        return dict.fromkeys(each for mapper in mappers for each in self._registry.of(mapper).publications)

    def _shown(self, row: Row) -> set[str]:
        """The patterns whose records show this row among others."""
        embeds = [embed for embed in self._registry.of(row.mapper).embeds if shows(embed, row.touch)]
        return {each.pattern.text for each in self._registry if not set(embeds).isdisjoint(each.fields.embeds)}

    def _is_covered(self, name: str, account: _Account) -> bool:
        """Whether a pattern, or a channel's name, is of rows of which everything is known from triggers."""
        found = [each for each in self._registry if each.pattern.text == name]
        if not found and (channel := self._registry.channel(name)) is not None:
            found = list(channel.publications)
        return bool(found) and all(self._is_told(each, account) for each in found)

    def _is_told(self, publication: Publication, account: _Account) -> bool:
        tables = {table for mapper in publication.mapper.self_and_descendants for table in mapper.tables}
        return not publication.fields.needs_object and tables <= account.tables


def _rekeyed(reference: Reference, rows: Rows) -> bool:
    """Whether columns that others refer to have other values than before."""
    if rows.many:
        return True
    names = [column.name for column in reference.referred]
    spelled = ([sorted(repr([row.get(name) for name in names]) for row in side)] for side in (rows.gone, rows.come))
    return bool(rows.gone and rows.come) and next(spelled) != next(spelled)


def _is_exact(publication: Publication, row: Row) -> bool:
    """Whether all that a publication tells of a row is known."""
    decisive = publication.decisive
    if row.touch.kind != "create" and not decisive <= row.touch.before.keys():
        return False
    if row.image is None:
        return True
    wanted = decisive | publication.fields.attributes.keys()
    return not publication.fields.needs_object and wanted <= row.image.values.keys()


def _untold(publication: Publication, row: Row, known: set[tuple[str, str, str]]) -> Iterator[str]:
    """The channels where a row was or is that nobody has told anything of it."""
    if row.touch.kind == "update" and row.touch.touched == frozenset() and not publication.fields.opaque:
        return
    found = places(publication, row)
    if found is None:
        yield publication.pattern.text
        return
    for channel in {*found[0], *found[1]}:
        if not any((channel, publication.cls(mapper), row.id) in known for mapper in (row.mapper, row.touch.subject)):
            yield channel
