"""Follows statements that no flush sends: bulk UPDATE, DELETE and INSERT through the ORM, Core, and raw SQL.

Just before such a statement runs, the rows that it is about to change are read with its own WHERE; at COMMIT they are read
again, and what differs is told. A statement that changed more rows than were found, and everything that can't be read
off the statement, leaves the channels of its tables in doubt. The user's statement and its result are not touched.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    Connection,
    Delete,
    Insert,
    Table,
    TextClause,
    Update,
)
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.sql.dml import UpdateBase

from sqla_realtime.capture.associations import follow
from sqla_realtime.capture.cascades import Cascades, Rows
from sqla_realtime.capture.dml import Statement, met
from sqla_realtime.capture.guard import aside, check
from sqla_realtime.capture.ledger import Expected, Ledger, row_key
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.embeds import Embed
from sqla_realtime.schema.reader import Image, Lock, Reader
from sqla_realtime.schema.registry import Registry

log = logging.getLogger(__name__)

_WRITES = re.compile(r"\b(insert|update|delete|merge|replace|truncate|copy)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")

Key = tuple[Any, ...]
Values = Mapping[str, Any]


def _table(dml: Any) -> Table:
    """The table that a statement changes, without what the ORM has noted on it."""
    table: Table = dml.table._deannotate()
    return table


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
        *,
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
        """A statement is about to be sent on an enabled Session's Connection. Raises nothing but what has taken the
        transaction with it."""
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
            associations = self._registry.associations(table.fullname)
            ledger = self._ledger_of(session, connection) if mappers or reached or associations else None
            # A statement that is sent in several batches comes here once for each; it is one statement.
            if ledger is not None and (ledger.expected is None or ledger.expected.context is not context):
                if exact:
                    ledger.expected = Expected(context, 0, mappers)
                    found = Statement(connection, ledger, dml, context, statement, table, mappers)
                    self._associate(found, associations)
                    self._follow(found)
                    check(ledger)
                else:
                    ledger.tracker.doubt((*mappers, *reached, *(embed.parent for embed in associations)))

    def after(self, ledger: Ledger, rowcount: int, context: Any) -> None:
        """A statement was sent: rows that nobody saw before are rows that somebody else made visible meanwhile."""
        expected = ledger.expected
        if expected is None or expected.context is not context:
            return
        try:
            doubtful = rowcount > expected.rows if expected.check is None else expected.check()
        except Exception:
            log.exception("A statement could not be followed; readers of its tables reload. [statement-failed]")
            doubtful = True
            check(ledger)
        if doubtful:
            ledger.tracker.doubt(expected.mappers)

    def _associate(self, statement: Statement, embeds: Sequence[Embed]) -> None:
        """Touch the parents whose many-to-many a statement about its table changes; also those of the unit of work."""
        for embed in embeds:
            try:
                followed = len(statement.parameters) <= self._limit and follow(statement, embed, next(self._order))
            except Exception:
                log.exception("A statement could not be followed; readers of its tables reload. [statement-failed]")
                followed = False
            if not followed:
                statement.ledger.tracker.doubt((embed.parent,))

    def _mentioned(self, statement: str) -> list[Table]:
        """The tables of published rows, and those that lead to them, which raw SQL names where it may write at all."""
        if not _WRITES.search(statement):
            return []
        words = {word.lower() for word in _WORD.findall(statement)}
        known = (self._registry.published_tables(), self._registry.association_tables(), self._cascades.sources())
        tables = dict.fromkeys(table for each in known for table in each)
        return [table for table in tables if table.name.lower() in words]

    def _follow(self, statement: Statement) -> None:
        try:
            patterns = {text for mapper in statement.mappers for text in self._registry.patterns(mapper)}
            self._cascade(statement)
            followed = any(map(self._wants, patterns)) and self._record(statement)
        except Exception:
            log.exception("A statement could not be followed; readers of its tables reload. [statement-failed]")
            followed = False
        if not followed:
            statement.ledger.tracker.doubt(statement.mappers)

    def _record(self, statement: Statement) -> bool:
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
                statement.ledger.expected = Expected(statement.context, min(found), statement.mappers)
                return max(found) <= self._limit
        return False

    def _cascade(self, statement: Statement) -> None:
        """Touch what the database will change by itself because of a DELETE; an UPDATE of what others refer to is doubt."""
        references = self._cascades.sources().get(statement.table, ())
        match statement.dml:
            case Delete() if references:
                for condition in islice(statement.conditions(), self._limit):
                    self._cascades.deleted(statement.connection, statement.ledger, Rows(statement.table, condition))
            case Update() if any(each.on_update and statement.sets(each.referred) for each in references):
                statement.ledger.tracker.doubt(self._cascades.reached(statement.table))

    def _change(self, statement: Statement, mapper: Mapper[Any]) -> int:
        """Touch the rows that an UPDATE or DELETE selects; how many they are."""
        mapper = statement.selecting(mapper)
        also = sorted(self._registry.of(mapper).decisive)
        reader = Reader(mapper, self._registry.related(mapper), columns=True, also=also)
        with aside(statement.connection, statement.ledger):
            images = statement.images(reader, mapper, self._limit + 1)
        for image in images:
            # Whether a deleted row is gone is seen at COMMIT, where it will not be found.
            self._touch(statement, image.mapper, image.key, Touch("update", image.mapper, image.values))
        return len(images)

    def _insert(self, statement: Statement, mapper: Mapper[Any]) -> bool:
        """Touch the rows that an INSERT makes, where it brings their keys."""
        keys = statement.new_keys(mapper)
        if keys is None:
            return False
        images: Mapping[Key, Image] = {}
        statement.ledger.expected = None
        if statement.may_meet_rows():
            reader = Reader(mapper, self._registry.related(mapper), columns=True)
            lock = Lock(statement.table, key=False) if statement.may_update_rows() else None
            with aside(statement.connection, statement.ledger):
                images = reader.by_key(statement.connection, list(keys), lock)
        for key, subject in keys.items():
            if key in images:
                self._touch(statement, images[key].mapper, key, Touch("update", images[key].mapper, images[key].values))
            else:
                self._touch(statement, subject, key, Touch("create", subject))
        return self._expect_new(statement, [key for key in keys if key not in images])

    def _expect_new(self, statement: Statement, keys: Sequence[Key]) -> bool:
        """Have an upsert looked at again that found none of these rows: somebody else may make one before it does, and
        then it changes a row of which nobody here knows where it was. False where that can't be seen."""
        if not keys or not statement.may_update_rows() or statement.connection.dialect.name == "sqlite":
            return True
        if statement.in_batches():
            return False

        def check() -> bool:
            with aside(statement.connection, statement.ledger):
                return met(statement.connection, statement.table, keys)

        statement.ledger.expected = Expected(statement.context, 0, statement.mappers, check)
        return True

    def _touch(self, statement: Statement, mapper: Mapper[Any], key: Key, touch: Touch) -> None:
        family = self._registry.of(mapper)
        statement.ledger.tracker.doubt(family.leaves)
        # A statement may turn a row of a class that nobody sees into one of a class that somebody does.
        if family.observed or family.kinds != frozenset():
            touch.order = next(self._order)
            statement.ledger.tracker.record(row_key(family.root.class_, key), touch)
