"""Which tables are to be watched by triggers: declared by their models, and looked for in the database."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Table, text

from sqla_realtime.brokers.triggers import Watched, attach, declare, declared, missing
from sqla_realtime.errors import NotWatchable
from sqla_realtime.schema.mapping import tables_of
from sqla_realtime.schema.publication import mapper_of
from sqla_realtime.schema.registry import Registry

log = logging.getLogger(__name__)


def watch(models: Iterable[type[Any] | Table], without: Collection[str] = ()) -> None:
    """Declare that the tables of these models are watched, but for columns with these names. Raises NotMapped and
    NotWatchable."""
    tables = {
        table: getattr(model, "__name__", table.name)
        for model in models
        for table in ([model] if isinstance(model, Table) else tables_of(mapper_of(model)))
    }
    for table, model in tables.items():
        keys = {column.name for column in table.primary_key}
        if not keys:
            raise NotWatchable(model=model, reason="its table has no primary key", remedy="Give it one.")
        for name in without:
            if name not in {column.name for column in table.columns} or name in keys:
                reason = f"without={name!r} is {'part of its key' if name in keys else 'no column of its table'}"
                raise NotWatchable(model=model, reason=reason, remedy="Name other columns.")
    for table in tables:
        declare(table, without)


def complete(connection: Connection, registry: Registry) -> list[str]:
    """Make the triggers of declared tables where there are none yet; the names of all these tables."""
    wanted = _wanted(registry)
    for each in missing(connection, wanted) if connection.dialect.name == "postgresql" else ():
        for statement in attach(each):
            connection.execute(text(statement))
    return [each.name for each in wanted]


def check(connection: Connection, registry: Registry) -> None:
    """Say where a table is to be watched and is not: what others write into it would not be seen."""
    wanted = _wanted(registry)
    if wanted and connection.dialect.name != "postgresql":
        log.warning(
            "%s has no triggers of ours: what is not written through an enabled Session is not seen. [watch-unsupported]",
            connection.dialect.name,
        )
        return
    for each in missing(connection, wanted):
        log.error(
            "%s is to be watched and has no triggers, so what is not written through an enabled Session is not seen. "
            "Run: sqla-realtime migrate --app yourapp:realtime, or a migration with op.watch_table(%r). [watch-missing]",
            each.name,
            each.name,
        )


def _wanted(registry: Registry) -> list[Watched]:
    """The tables that are declared to be watched, beside those of published rows, in the order in which they are made."""
    metadata = dict.fromkeys(table.metadata for table in registry.published_tables())
    return declared(table for each in metadata for table in each.sorted_tables)
