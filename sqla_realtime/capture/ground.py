"""Whether a database keeps what it is given: tables without triggers or rules, columns of the types that the model says.

On SQLite each schema has a version, which is looked at every time. PostgreSQL has none: there it is looked at again every
few seconds, and after each statement of ours that defines something. Any other database is not believed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Table, inspect
from sqlalchemy import types as sa
from sqlalchemy.dialects import postgresql

from sqla_realtime.capture.kept import plain_class

# Seconds for which PostgreSQL is believed. A definition that another process changes shows after them.
BELIEVED = 5.0
DEFINES = re.compile(r"\s*(?:CREATE|ALTER|DROP|RENAME|REPLACE)\b", re.IGNORECASE)

# A constraint with ON CONFLICT IGNORE makes nothing of an INSERT.
_SQLITE_TRIGGER = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' OR sql LIKE '%ON%CONFLICT%')"
_POSTGRES_TRIGGER = (
    "SELECT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE NOT tgisinternal AND proname <> 'realtime_capture') OR EXISTS ("
    "SELECT FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE r.rulename <> '_RETURN'"
    " AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace))"
)
_INTEGERS = (sa.INTEGER, sa.BIGINT, sa.SMALLINT)
_TEXTS = (sa.VARCHAR, sa.TEXT)
# What a column of plain values may be in the database itself.
_SQLITE: dict[str, tuple[type[Any], ...]] = {
    "int": _INTEGERS, "str": _TEXTS, "bool": (sa.BOOLEAN,), "float": (sa.FLOAT, sa.DOUBLE, sa.REAL),
    "datetime": (sa.DATETIME, sa.TIMESTAMP), "date": (sa.DATE,), "UUID": (sa.CHAR,), "bytes": (sa.BLOB,),
}  # fmt: skip
_POSTGRES: dict[str, tuple[type[Any], ...]] = {
    "int": _INTEGERS, "str": _TEXTS, "bool": (sa.BOOLEAN,), "float": (sa.DOUBLE_PRECISION,),
    "datetime": (postgresql.TIMESTAMP,), "date": (sa.DATE,), "UUID": (sa.UUID,), "bytes": (postgresql.BYTEA,),
}  # fmt: skip
_KNOWN = {"sqlite": _SQLITE, "postgresql": _POSTGRES}


@dataclass(slots=True)
class _Look:
    """What a database was seen to be, at which version: without triggers, and which of its tables keep what they get."""

    version: tuple[float, ...]
    free: bool
    tables: dict[Table, bool] = field(default_factory=dict)


class Ground:
    """Remembers what it saw of each engine's database. Any thread; two may look at the same time, and see the same."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: WeakKeyDictionary[Engine, _Look] = WeakKeyDictionary()

    def recall(self, connection: Connection, tables: Iterable[Table]) -> bool | None:
        """Whether what is inserted into these tables is what a SELECT returns; None where that must be looked at."""
        dialect = connection.dialect.name
        if dialect not in _KNOWN or connection.get_execution_options().get("schema_translate_map"):
            return False
        look, version = self._looks.get(connection.engine), self._version(connection, dialect)
        if version[1:] > (0,):
            return False  # SQLite's temporary tables and triggers, which each connection has of its own
        if look is None or not _is_fresh(look, version):
            return None
        if not look.free:
            return False
        found = [look.tables.get(table) for table in tables]
        return None if None in found else all(found)

    def look(self, connection: Connection, tables: Iterable[Table]) -> bool:
        """Look at it. Raises what the database raises."""
        dialect = connection.dialect.name
        version = self._version(connection, dialect)
        look = self._looks.get(connection.engine)
        if look is None or not _is_fresh(look, version):
            trigger = _SQLITE_TRIGGER if dialect == "sqlite" else _POSTGRES_TRIGGER
            look = self._looks[connection.engine] = _Look(version, not _scalar(connection, trigger))
        for table in tables if look.free else ():
            if table not in look.tables:
                look.tables[table] = _keeps(connection, table, _KNOWN[dialect])
        return look.free and all(look.tables[table] for table in tables)

    def defined(self, engine: Engine) -> None:
        """Something was defined anew: what was seen of this database is old."""
        self._looks.pop(engine, None)

    def _version(self, connection: Connection, dialect: str) -> tuple[float, ...]:
        """SQLite counts the changes of each schema; elsewhere, the time until which what is seen now is believed."""
        if dialect == "sqlite":
            return _scalar(connection, "PRAGMA main.schema_version"), _scalar(connection, "PRAGMA temp.schema_version")
        return (self._clock() + BELIEVED,)


def _is_fresh(look: _Look, version: tuple[float, ...]) -> bool:
    """Whether what was seen at one version holds at another, or until a time that has not come."""
    return look.version == version if len(version) == 2 else version[0] - BELIEVED < look.version[0]


def _scalar(connection: Connection, statement: str) -> Any:
    """Asked on the driver's own cursor: on the way through SQLAlchemy it would cost as much as reading a row."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return row[0] if row else None


def _keeps(connection: Connection, table: Table, known: dict[str, tuple[type[Any], ...]]) -> bool:
    """Whether the columns of plain values are in the database what they are in the model."""
    inspector = inspect(connection)
    if table.schema is not None and connection.dialect.name == "sqlite":
        return False  # an attached database, which has triggers of its own
    if table.name not in inspector.get_table_names(table.schema):
        return False  # a view, or a table that the connection finds elsewhere
    found = {column["name"]: column for column in inspector.get_columns(table.name, table.schema)}
    for column in table.columns:
        kind = plain_class(column)
        if kind is not None:
            there = found.get(column.name)
            if there is None or there.get("computed") or not _alike(column.type, there["type"], known[kind.__name__]):
                return False
    return True


def _alike(declared: Any, there: Any, wanted: tuple[type[Any], ...]) -> bool:
    if type(there) not in wanted or getattr(there, "timezone", False) or (type(there) is sa.CHAR and there.length != 32):
        return False
    if type(there) is postgresql.TIMESTAMP and there.precision is not None:
        return False
    length = getattr(there, "length", None)
    return not isinstance(declared, sa.String) or length is None or length == declared.length
