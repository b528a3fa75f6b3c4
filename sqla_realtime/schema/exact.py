"""Text that is compared character by character, as Python does, where a database by itself takes "Ann" and "ann " for equal.

MySQL compares by the column's collation, mostly without regard to case, accents and spaces at the end. A channel would begin
with rows that are told in another one, and somebody could read what he may not.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Enum, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import replacement_traverse


class Exact(FunctionElement[str]):
    """A column of text as it is."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[str]) -> None:
        super().__init__(column)
        self.type = column.type


class Equals(FunctionElement[bool]):
    """A comparison of a column of text with a value. An index serves the one by the collation, so that stays."""

    inherit_cache = True
    type = Boolean()


@compiles(Exact)
@compiles(Equals)
def _plain(element: Exact | Equals, compiler: Any, **options: Any) -> str:
    [only] = element.clauses
    return str(compiler.process(only, **options))


@compiles(Exact, "mysql")
@compiles(Exact, "mariadb")
def _exactly(element: Exact, compiler: Any, **options: Any) -> str:
    return f"CAST(CONVERT({_plain(element, compiler, **options)} USING utf8mb4) AS BINARY)"


@compiles(Equals, "mysql")
@compiles(Equals, "mariadb")
def _both(element: Equals, compiler: Any, **options: Any) -> str:
    comparison: Any = next(iter(element.clauses))
    exactly = compiler.process(Exact(comparison.left) == comparison.right, **options)
    return f"{_plain(element, compiler, **options)} AND {exactly}"


def is_text(column: ColumnElement[Any]) -> bool:
    """Whether it is compared by a collation."""
    return isinstance(column.type, String) and not isinstance(column.type, Enum)


def equals(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    """Whether a column is exactly this."""
    return Equals(column == value) if is_text(column) else column == value


def exact(clause: ColumnElement[bool]) -> ColumnElement[bool]:
    """The clause with its columns of text compared so."""

    def replace(element: Any, **_: Any) -> Any:
        return Exact(element) if isinstance(element, Column) and is_text(element) else None

    found: ColumnElement[bool] = replacement_traverse(clause, {}, replace)
    return found
