"""One INSERT, UPDATE or DELETE about to be sent: which rows it selects, which keys it brings, what it assigns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Table,
    Text,
    cast,
    column,
    select,
)  # fmt: skip
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList
from sqlalchemy.sql.visitors import replacement_traverse

from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.schema.reader import Image, Lock, Reader, key_conditions

Key = tuple[Any, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
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
        """Whether an UPDATE assigns to a primary key: which rows they become can't be told from here."""
        return any(self.sets(mapper.primary_key) for mapper in self.mappers)

    def sets(self, columns: Iterable[ColumnElement[Any]]) -> bool:
        """Whether an UPDATE may assign to one of these columns."""
        names = "|".join(re.escape(column.name) for column in columns if isinstance(column, Column))
        if not names:
            return False
        return re.search(rf"(?:\bSET|,)\s*[\"`\[]?(?:{names})[\"`\]]?\s*=", self.sql) is not None

    def selecting(self, mapper: Mapper[Any]) -> Mapper[Any]:
        """The mapper whose rows it selects: a subclass in its base's table has a condition that is not in its WHERE."""
        entity = self.dml.table._annotations.get("parentmapper")
        return entity if entity is not None and entity.isa(mapper) else mapper

    def images(self, reader: Reader, mapper: Mapper[Any], limit: int) -> list[Image]:
        """The rows that an UPDATE or DELETE selects, as they are before it."""
        runs = self.parameters
        binds = _key_binds(mapper, self.dml.whereclause) if len(runs) > 1 else None
        if binds is not None:
            keys = [tuple(run[bind] for bind in binds) for run in runs[:limit]]
            return list(reader.by_key(self.connection, keys).values())
        lock = Lock(self.table, isinstance(self.dml, Delete))
        images: dict[Key, Image] = {}
        for condition in self.conditions():
            if len(images) < limit:
                found = reader.matching(self.connection, condition, limit, lock)
                images |= {image.key: image for image in found}
        return list(images.values())

    def conditions(self) -> Iterator[ColumnElement[bool] | None]:
        """The WHERE of each run, with the values of that run.

        A bind without a name of its own is named by its place in the statement, and would be another one's elsewhere.
        """
        where = self.dml.whereclause
        names = {bind.key: name for bind, name in self.context.compiled.bind_names.items()}
        for run in self.parameters:
            yield None if where is None else _bound(where, names, run)

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

    def may_update_rows(self) -> bool:
        """Whether it changes those."""
        return self.may_meet_rows() and type(self.dml._post_values_clause).__name__ != "OnConflictDoNothing"

    def in_batches(self) -> bool:
        """Whether it is sent in several parts, of which nobody is told the end."""
        return bool(getattr(self.context.execute_style, "name", "") == "INSERTMANYVALUES")

    def _meets_by_key(self, mapper: Mapper[Any]) -> bool:
        """Whether the only rows that an upsert can update are those with the keys that it brings."""
        clause = self.dml._post_values_clause
        if clause is None or not hasattr(clause, "update_values_to_set"):
            return clause is None or type(clause).__name__ == "OnConflictDoNothing"
        target = clause.inferred_target_elements or ()
        return {getattr(each, "key", each) for each in target} == {column.key for column in mapper.primary_key}


def met(connection: Connection, table: Table, keys: Sequence[Key]) -> bool:
    """Whether an upsert has changed one of these rows instead of making it.

    PostgreSQL marks the version that ON CONFLICT DO UPDATE makes with the lock that it took on the one before; a new row
    has no such mark.
    """
    own = list(table.primary_key.columns)
    marked = cast(column("xmax"), Text) != "0"
    statements = (select(*own).where(each, marked).limit(1) for each in key_conditions(own, keys))
    return any(connection.execute(statement).first() is not None for statement in statements)


def _bound(where: Any, names: Mapping[str, str], run: Values) -> Any:
    """A WHERE that brings its values along. Raises KeyError for one whose value can't be told."""

    def value(element: Any, **_: Any) -> Any:
        if not isinstance(element, BindParameter):
            return None
        name = names[element.key]
        found = _listed(name, run) if element.expanding else run[name]
        return BindParameter(None, found, element.type, unique=True, expanding=element.expanding)

    return replacement_traverse(where, {}, value)


def _listed(name: str, run: Values) -> list[Any]:
    """The values of an IN, which SQLAlchemy has spread over as many binds by now, or over several for each tuple."""
    found: list[Any] = []
    while True:
        each = f"{name}_{len(found) + 1}"
        if each in run:
            found.append(run[each])
        elif f"{each}_1" in run:
            found.append(tuple(run[f"{each}_{place}"] for place in _places(each, run)))
        else:
            return found


def _places(name: str, run: Values) -> Iterator[int]:
    return takewhile(lambda place: f"{name}_{place}" in run, count(1))


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
