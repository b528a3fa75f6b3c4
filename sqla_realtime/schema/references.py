"""Which tables the database changes by itself when rows of another go: the foreign keys with an ON DELETE or ON UPDATE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, ForeignKeyConstraint, Select, Table, select, tuple_

_ACTIONS = {"CASCADE", "SET NULL", "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of ``child`` on which the database acts: rows of the parent go, rows of the child go or change."""

    child: Table
    columns: tuple[Column[Any], ...]
    referred: tuple[Column[Any], ...]
    on_delete: bool
    cascades: bool
    on_update: bool

    def rows(self, parents: ColumnElement[bool] | None) -> ColumnElement[bool]:
        """The child's rows that refer to the parent's rows of a condition."""
        chosen: Select[Any] = select(*self.referred)
        if parents is not None:
            chosen = chosen.where(parents)
        left = self.columns[0] if len(self.columns) == 1 else tuple_(*self.columns)
        return left.in_(chosen)


def references(published: Iterable[Table]) -> dict[Table, list[Reference]]:
    """The references that lead to published tables, by parent, however many tables lie between."""
    found: dict[Table, list[Reference]] = {}
    waiting = list(dict.fromkeys(published))
    known = set(waiting)
    direct = set(waiting)
    while waiting:
        child = waiting.pop()
        for parent, reference in _of(child):
            # Through a table that nobody sees, only rows that go can reach one that somebody does.
            if child in direct or reference.cascades:
                found.setdefault(parent, []).append(reference)
                if parent not in known:
                    known.add(parent)
                    waiting.append(parent)
    return found


def _of(child: Table) -> Iterator[tuple[Table, Reference]]:
    for constraint in child.foreign_key_constraints:
        on_delete, on_update = _action(constraint.ondelete), _action(constraint.onupdate)
        if on_delete or on_update:
            yield constraint.referred_table, _reference(child, constraint, on_delete, on_update)


def _reference(child: Table, constraint: ForeignKeyConstraint, on_delete: str, on_update: str) -> Reference:
    return Reference(
        child=child,
        columns=tuple(element.parent for element in constraint.elements),
        referred=tuple(element.column for element in constraint.elements),
        on_delete=bool(on_delete),
        cascades=on_delete == "CASCADE",
        on_update=bool(on_update),
    )


def _action(spelled: str | None) -> str:
    action = " ".join((spelled or "").upper().split())
    # SET NULL (column, ...) is PostgreSQL's way of naming some of them.
    return next((known for known in _ACTIONS if action.startswith(known)), "")
