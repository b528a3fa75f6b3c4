"""A SELECT that is compiled once for each dialect and runs on the driver's own cursor, for the reads before each COMMIT.

SQLAlchemy's way to a single row takes several times as long as the database does. What its result processing makes of
each value is made here too; listeners that may rewrite statements, or want to see them, make a connection unfit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Dialect, Select

Process = Callable[[Any], Any]

_HEARD = ("before_execute", "before_cursor_execute", "after_cursor_execute", "after_execute")


def is_fit(connection: Connection) -> bool:
    """Whether nobody wants to hear of statements on this Connection's engine."""
    dispatch: Any = connection.engine.dispatch
    return not (connection.engine.echo or any(getattr(dispatch, name) for name in _HEARD))


class Prepared:
    """One statement, whose only parameters are ``names``, plain integers."""

    def __init__(self, statement: Select[Any], names: Sequence[str]) -> None:
        self._statement = statement
        self._names = frozenset(names)
        self._types = [column.type for column in statement.selected_columns]
        self._made: WeakKeyDictionary[Dialect, _Compiled | None] = WeakKeyDictionary()

    def fetch(self, connection: Connection, parameters: Mapping[str, int]) -> list[list[Any]] | None:
        """The rows, None where SQLAlchemy must run it. Raises what the driver raises."""
        dialect = connection.dialect
        if dialect not in self._made:
            self._made[dialect] = _Compiled.of(self._statement, dialect, self._names)
        made = self._made[dialect]
        if made is None or not is_fit(connection):
            return None
        cursor = connection.connection.cursor()
        try:
            cursor.execute(made.sql, made.spell(parameters))
            rows = [list(row) for row in cursor.fetchall()]
            if made.processes is None:
                made.processes = _processes(self._types, dialect, cursor.description)
        finally:
            cursor.close()
        for place, process in made.processes:
            for row in rows:
                row[place] = process(row[place])
        return rows


class _Compiled:
    """A statement as one dialect spells it."""

    __slots__ = ("_order", "processes", "sql")

    def __init__(self, sql: str, order: Sequence[str] | None) -> None:
        self.sql = sql
        self._order = order
        self.processes: list[tuple[int, Process]] | None = None

    @classmethod
    def of(cls, statement: Select[Any], dialect: Dialect, names: frozenset[str]) -> _Compiled | None:
        """None where it has other parameters than these, such as those that tell rows of a subclass."""
        compiled: Any = statement.compile(dialect=dialect)
        if set(compiled.params) != names:
            return None
        return cls(compiled.string, tuple(compiled.positiontup) if compiled.positional else None)

    def spell(self, parameters: Mapping[str, int]) -> Any:
        """The parameters as the driver wants them."""
        return dict(parameters) if self._order is None else tuple([parameters[name] for name in self._order])


def _processes(types: Sequence[Any], dialect: Dialect, description: Sequence[Any]) -> list[tuple[int, Process]]:
    """What has to be done to which places of a row."""
    found = []
    for place, (kind, column) in enumerate(zip(types, description, strict=True)):
        process = kind.dialect_impl(dialect).result_processor(dialect, column[1])
        if process is not None:
            found.append((place, process))
    return found
