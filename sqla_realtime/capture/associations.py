"""Many-to-many tables: whose lists change when a statement, a flush's or anybody's, puts pairs in or takes them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Delete, Insert, select

from sqla_realtime.capture.dml import Statement
from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger, row_key
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.embeds import Embed

Key = tuple[Any, ...]


def follow(statement: Statement, embed: Embed, order: int) -> bool:
    """Touch the parents that a statement about the table of pairs concerns; False where they are not known."""
    columns, dml = _parent_columns(embed), statement.dml
    match dml:
        case _ if columns is None:
            return False
        case Insert() if dml.select is None and not dml._multi_values:
            keys = [tuple(run.get(column.key) for column in columns) for run in statement.parameters]
            _touch(statement.ledger, embed, keys, order)
            return not any(None in key for key in keys)
        case Delete():
            with aside(statement.connection, statement.ledger):
                for condition in statement.conditions():
                    touch_parents(statement.connection, statement.ledger, embed, condition, order)
            return True
    return False


def touch_parents(
    connection: Connection,
    ledger: Ledger,
    embed: Embed,
    condition: ColumnElement[bool] | None,
    order: int,
    *,
    side: bool = False,
) -> None:
    """Touch the parents of the pairs that a condition selects; where their keys are not in the pairs, all are in doubt.
    ``side``: it is the database that changes the pairs."""
    columns = _parent_columns(embed)
    if columns is None:
        ledger.tracker.doubt((embed.parent,))
        return
    chosen = select(*columns).distinct()
    if condition is not None:
        chosen = chosen.where(condition)
    _touch(ledger, embed, [tuple(row) for row in connection.execute(chosen)], order, side=side)


def _parent_columns(embed: Embed) -> list[Column[Any]] | None:
    """The table's columns that hold the parent's primary key, in its order; None where they hold something else."""
    pairs = dict(embed.path[-1].synchronize_pairs)
    found = [pairs.get(column) for column in embed.parent.primary_key]
    columns = [column for column in found if isinstance(column, Column)]
    return columns if len(columns) == len(found) else None


def _touch(ledger: Ledger, embed: Embed, keys: Iterable[Key], order: int, *, side: bool = False) -> None:
    changed = frozenset((embed.path[-1].key,))
    for key in keys:
        if None not in key:
            touch = Touch("update", embed.parent, {}, changed, order, side=side)
            ledger.tracker.record(row_key(embed.parent.base_mapper.class_, key), touch)
