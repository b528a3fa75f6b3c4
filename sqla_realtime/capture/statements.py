"""Follows statements that no flush sends: bulk UPDATE, DELETE and INSERT through the ORM, Core, and raw SQL.

Just before such a statement runs, the rows that it is about to change are read with its own WHERE; at COMMIT they are read
again, and what differs is told. A statement that changed more rows than were found, and everything that can't be read
off the statement, leaves the channels of its tables in doubt. The user's statement and its result are not touched.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Table,
    TextClause,
    Update,
)
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.sql import operators
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import BooleanClauseList

from sqla_realtime.capture.cascades import Cascades, Rows
from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.reader import Image, Reader
from sqla_realtime.schema.registry import Registry

log = logging.getLogger(__name__)

_WRITES = re.compile(r"\b(insert|update|delete|merge|replace|truncate|copy)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")

Key = tuple[Any, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Statement:
    """One statement about to be sent. ``dml`` is None for raw SQL; ``mappers`` are those of its table."""

    connection: Connection
    ledger: Ledger
    dml: Any
    context: Any
    sql: str
    table: Table
    mappers: Sequence[Mapper[Any]]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """One set of values for each time that the statement runs."""
        return list(self.context.compiled_parameters)

    def sets_key(self) -> bool:
        """Whether an UPDATE assigns to a primary key: its new values can't be told from here."""
        return any(self.sets(mapper.primary_key) for mapper in self.mappers)

    def sets(self, columns: Iterable[ColumnElement[Any]]) -> bool:
        """Whether an UPDATE may assign to one of these columns."""
        names = "|".join(re.escape(column.name) for column in columns if isinstance(column, Column))
        return re.search(rf"(?:\bSET|,)\s*[\"`\[]?(?:{names})[\"`\]]?\s*=", self.sql) is not None

    def images(self, reader: Reader, mapper: Mapper[Any], limit: int) -> list[Image]:
        """The rows that an UPDATE or DELETE selects, as they are before it."""
        where = self.dml.whereclause
        runs = self.parameters
        binds = _key_binds(mapper, where) if len(runs) > 1 else None
        if binds is not None:
            keys = [tuple(run[bind] for bind in binds) for run in runs[:limit]]
            return list(reader.by_key(self.connection, keys).values())
        images: dict[Key, Image] = {}
        for run in runs:
            if len(images) < limit:
                found = reader.matching(self.connection, where, run, limit, self.table)
                images |= {image.key: image for image in found}
        return list(images.values())

    def new_keys(self, mapper: Mapper[Any]) -> dict[Key, Mapper[Any]] | None:
        """The keys that an INSERT brings, each with what its row is mapped by; None where it does not bring them."""
        if self.dml.select is not None or self.dml._multi_values or not self._meets_by_key(mapper):
            return None
        names = [str(column.key) for column in mapper.primary_key]
        kind = None if mapper.polymorphic_on is None else str(mapper.polymorphic_on.key)
        keys = {}
        for run in self.parameters:
            key = tuple(run.get(name) for name in names)
            if None in key:
                return None
            keys[key] = mapper if kind is None else mapper.polymorphic_map.get(run.get(kind), mapper)
        return keys

    def may_meet_rows(self) -> bool:
        """Whether an INSERT may find some of its rows there already."""
        return self.dml._post_values_clause is not None

    def _meets_by_key(self, mapper: Mapper[Any]) -> bool:
        """Whether the only rows that an upsert can update are those with the keys that it brings."""
        clause = self.dml._post_values_clause
        if clause is None or not hasattr(clause, "update_values_to_set"):
            return clause is None or type(clause).__name__ == "OnConflictDoNothing"
        target = clause.inferred_target_elements or ()
        return {getattr(each, "key", each) for each in target} == {column.key for column in mapper.primary_key}


def _table(dml: Any) -> Table:
    """The table that a statement changes, without what the ORM has noted on it."""
    table: Table = dml.table._deannotate()
    return table


def _key_binds(mapper: Mapper[Any], where: Any) -> list[str] | None:
    """The bind names of a WHERE that compares each key column with one value; None for any other."""
    terms = where.clauses if isinstance(where, BooleanClauseList) and where.operator is operators.and_ else [where]
    binds = {}
    for term in terms:
        if not isinstance(term, BinaryExpression) or term.operator is not operators.eq:
            return None
        if not isinstance(term.right, BindParameter):
            return None
        binds[term.left.key] = term.right.key
    names = [column.key for column in mapper.primary_key]
    return [binds[name] for name in names] if set(binds) == set(names) else None


class StatementWatcher:
    """Records a Touch for every published row that a statement outside a flush is about to change.

    ``limit`` is how many rows one statement may change and still be told row by row.
    """

    def __init__(
        self,
        registry: Registry,
        ledger_of: Callable[[Session, Connection], Ledger | None],
        wants: Callable[[str], bool],
        cascades: Cascades,
        order: Iterator[int],
        limit: int,
    ) -> None:
        self._registry = registry
        self._cascades = cascades
        self._ledger_of = ledger_of
        self._wants = wants
        self._order = order
        self._limit = limit

    def before(self, session: Session, connection: Connection, statement: str, context: Any) -> None:
        """A statement is about to be sent on an enabled Session's Connection. Never raises."""
        compiled: Any = getattr(context, "compiled", None)
        dml: Any = getattr(compiled, "statement", None)
        exact = isinstance(dml, UpdateBase)
        if exact:
            tables = [_table(dml)]
        elif dml is None or isinstance(dml, TextClause):
            tables = self._mentioned(statement)
        else:
            tables = [_table(cte.element) for cte in compiled.ctes or () if isinstance(cte.element, UpdateBase)]
        for table in tables:
            mappers = self._registry.mappers(table.fullname)
            reached = self._cascades.reached(table)
            ledger = self._ledger_of(session, connection) if mappers or reached else None
            # A statement that is sent in several batches comes here once for each; it is one statement.
            if ledger is not None and (ledger.expected is None or ledger.expected[0] is not context):
                if exact:
                    ledger.expected = (context, 0, mappers)
                    self._follow(_Statement(connection, ledger, dml, context, statement, table, mappers))
                else:
                    ledger.lost.update(mappers, reached)

    def after(self, ledger: Ledger, rowcount: int, context: Any) -> None:
        """A statement was sent: rows that nobody saw before are rows that somebody else made visible meanwhile."""
        if ledger.expected is not None and ledger.expected[0] is context and rowcount > ledger.expected[1]:
            ledger.lost.update(ledger.expected[2])

    def _mentioned(self, statement: str) -> list[Table]:
        """The tables of published rows, and those that lead to them, which raw SQL names where it may write at all."""
        if not _WRITES.search(statement):
            return []
        words = {word.lower() for word in _WORD.findall(statement)}
        tables = dict.fromkeys([*self._registry.published_tables(), *self._cascades.sources()])
        return [table for table in tables if table.name.lower() in words]

    def _follow(self, statement: _Statement) -> None:
        try:
            patterns = {each.pattern.text for mapper in statement.mappers for each in self._registry.related(mapper)}
            self._cascade(statement)
            followed = any(map(self._wants, patterns)) and self._record(statement)
        except Exception:
            log.exception("A statement could not be followed; readers of its tables reload. [statement-failed]")
            followed = False
        if not followed:
            statement.ledger.lost.update(statement.mappers)

    def _record(self, statement: _Statement) -> bool:
        """Touch the rows that the statement will change; False where that is not known."""
        if not statement.mappers:
            return True
        match statement.dml:
            case Insert():
                followed = [self._insert(statement, mapper) for mapper in statement.mappers]
                return all(followed)
            case Update() if statement.sets_key():
                return False
            case Update() | Delete():
                found = [self._change(statement, mapper) for mapper in statement.mappers]
                statement.ledger.expected = (statement.context, min(found), statement.mappers)
                return max(found) <= self._limit
        return False

    def _cascade(self, statement: _Statement) -> None:
        """Touch what the database will change by itself because of a DELETE; an UPDATE of what others refer to is doubt."""
        references = self._cascades.sources().get(statement.table, ())
        match statement.dml:
            case Delete() if references:
                for run in statement.parameters[: self._limit]:
                    rows = Rows(statement.table, statement.dml.whereclause, run)
                    self._cascades.deleted(statement.connection, statement.ledger, rows)
            case Update() if any(each.on_update and statement.sets(each.referred) for each in references):
                statement.ledger.lost |= self._cascades.reached(statement.table)

    def _change(self, statement: _Statement, mapper: Mapper[Any]) -> int:
        """Touch the rows that an UPDATE or DELETE selects; how many they are."""
        publications = self._registry.related(mapper)
        reader = Reader(mapper, publications, columns=True)
        with aside(statement.connection, statement.ledger):
            images = statement.images(reader, mapper, self._limit + 1)
        for image in images:
            # Whether a deleted row is gone is seen at COMMIT, where it will not be found.
            self._touch(statement, image.mapper, image.key, Touch("update", image.mapper, image.values))
        return len(images)

    def _insert(self, statement: _Statement, mapper: Mapper[Any]) -> bool:
        """Touch the rows that an INSERT makes, where it brings their keys."""
        keys = statement.new_keys(mapper)
        if keys is None:
            return False
        replaced = statement.may_meet_rows()
        images: Mapping[Key, Image] = {}
        if replaced:
            reader = Reader(mapper, self._registry.related(mapper), columns=True)
            with aside(statement.connection, statement.ledger):
                images = reader.by_key(statement.connection, list(keys))
        for key, subject in keys.items():
            if key in images:
                self._touch(statement, images[key].mapper, key, Touch("update", images[key].mapper, images[key].values))
            else:
                self._touch(statement, subject, key, Touch("create", subject))
        statement.ledger.expected = None
        return True

    def _touch(self, statement: _Statement, mapper: Mapper[Any], key: Key, touch: Touch) -> None:
        family = self._registry.of(mapper)
        statement.ledger.lost.update(family.leaves)
        # A statement may turn a row of a class that nobody sees into one of a class that somebody does.
        if family.publications or family.kinds != frozenset():
            touch.order = next(self._order)
            statement.ledger.tracker.record((family.root.class_, key), touch)
