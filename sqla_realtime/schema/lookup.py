"""``WHERE key IN (...)`` in the form that costs the least: compiled once for each kind of key, few parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Integer, Select, SmallInteger, any_, bindparam, tuple_

from sqla_realtime.schema.prepared import Prepared

# Long enough to be few, short enough for every driver's limit of parameters.
CHUNK = 500
# Where a transaction goes on to see what it saw at first. What it has written it sees as it is, but not a row that somebody
# else made what it should become: changing nothing writes nothing. Only a SELECT that locks sees what is stored.
REPEATS = frozenset({"mysql", "mariadb"})


class Lookup:
    """The statements that select the rows of some keys, each made once: what is made anew is analysed anew by SQLAlchemy,
    which takes longer than the row.

    Integers without a gap, which is what INSERTs make, are a range: two parameters instead of 500. PostgreSQL takes
    other integers as one array. MySQL is asked for what is stored now, in rows that are ours already: it never waits, and
    each key is its own, because with a range the row after it would be locked too, and with all rows all of them.
    """

    def __init__(self, columns: Sequence[Any], statement: Select[Any]) -> None:
        column = columns[0] if len(columns) == 1 else None
        self._single = column is not None
        self._integers = column is not None and type(column.type) in (Integer, BigInteger, SmallInteger)
        chosen = tuple_(*columns) if column is None else column
        self._range: Select[Any] | None = None
        self._listed = statement.where(chosen.in_(bindparam("keys", expanding=True)))
        locks = statement._for_update_arg is not None
        self._stored = self._listed if locks else _by_index(self._listed, columns).with_for_update(nowait=True)
        if column is not None and self._integers:
            self._range = statement.where(column.between(bindparam("first"), bindparam("last")))
            self._prepared = Prepared(self._range, ("first", "last"))
            self._array = statement.where(column == any_(bindparam("keys", type_=ARRAY(column.type))))

    def __call__(self, keys: Sequence[tuple[Any, ...]], dialect: str) -> Iterator[tuple[Select[Any], Mapping[str, Any]]]:
        """Statements and their parameters that together select the rows of all ``keys``."""
        listed = self._stored if dialect in REPEATS else self._listed
        if not self._single:
            for start in range(0, len(keys), CHUNK):
                yield listed, {"keys": keys[start : start + CHUNK]}
            return
        values = [key[0] for key in keys]
        # bool is an int that no range is made of, and a value of another type is the database's to compare.
        if self._integers and dialect not in REPEATS and all(type(value) is int for value in values):
            values.sort()
            for start in range(0, len(values), CHUNK):
                yield self._of_integers(values[start : start + CHUNK], dialect)
        else:
            for start in range(0, len(values), CHUNK):
                yield listed, {"keys": values[start : start + CHUNK]}

    def rows(self, connection: Connection, keys: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[Any]]:
        """What they find."""
        for statement, parameters in self(keys, connection.dialect.name):
            found = self._prepared.fetch(connection, parameters) if statement is self._range else None
            yield from connection.execute(statement, parameters) if found is None else found

    def _of_integers(self, values: list[int], dialect: str) -> tuple[Select[Any], Mapping[str, Any]]:
        if self._range is not None and values[-1] - values[0] == len(values) - 1 and len(set(values)) == len(values):
            return self._range, {"first": values[0], "last": values[-1]}
        return (self._array if dialect == "postgresql" else self._listed), {"keys": values}


def _by_index(statement: Select[Any], columns: Sequence[Any]) -> Select[Any]:
    """However few rows there are, and however many are wanted, no others are looked at."""
    table = columns[0].__clause_element__().table
    for name in REPEATS:
        statement = statement.with_hint(table, "FORCE INDEX (PRIMARY)", name)
    return statement
