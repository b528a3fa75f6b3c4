"""A publication's ``where`` in Python: the same answer as the database's, on the images of a row before and after.

SQL's logic has three values: a comparison with NULL is unknown, and a row is selected only where the whole is true. What
depends on a collation, a time zone or the width of a float is refused, because two computers would not agree on it.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import operator as python
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import CHAR, BinaryExpression, BindParameter, Column, ColumnElement, False_, Float, Null, True_
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import AsBoolean, BooleanClauseList, ExpressionClauseList, Grouping, UnaryExpression

from sqla_realtime.errors import BadWhere
from sqla_realtime.schema.exact import exact
from sqla_realtime.schema.mapping import python_type_of

Truth = bool | None
Evaluate = Callable[[Mapping[str, Any]], Any]

_EQUAL = (int, bool, str, uuid.UUID, enum.Enum, decimal.Decimal, datetime.date, datetime.datetime)
_ORDERED = (int, decimal.Decimal, datetime.date, datetime.datetime)
_COMPARISONS: dict[Any, tuple[Callable[[Any, Any], Any], tuple[type, ...]]] = {
    operators.eq: (python.eq, _EQUAL),
    operators.ne: (python.ne, _EQUAL),
    operators.lt: (python.lt, _ORDERED),
    operators.le: (python.le, _ORDERED),
    operators.gt: (python.gt, _ORDERED),
    operators.ge: (python.ge, _ORDERED),
}


class Predicate:
    """A WHERE that both sides understand. ``reads`` are the attributes that it depends on."""

    def __init__(self, mapper: Mapper[Any], clause: ColumnElement[bool]) -> None:
        # A mapped attribute stands for its column.
        self.clause = clause.__clause_element__() if hasattr(clause, "__clause_element__") else clause
        self._mapper = mapper
        self._reads: set[str] = set()
        self._evaluate = self._compile(self.clause)
        self.clause = exact(self.clause)
        self.reads = frozenset(self._reads)

    def __call__(self, values: Mapping[str, Any]) -> bool:
        """Whether a row with these attribute values is selected."""
        return self._evaluate(values) is True

    def _refuse(self, reason: str) -> BadWhere:
        return BadWhere(model=self._mapper.class_.__name__, clause=str(self.clause), reason=reason)

    def _compile(self, clause: Any) -> Evaluate:
        match clause:
            case Grouping():
                return self._compile(clause.element)
            case True_():
                return lambda values: True
            case False_():
                return lambda values: False
            case BooleanClauseList():
                parts = [self._compile(each) for each in clause.clauses]
                return _all(parts) if clause.operator is operators.and_ else _any(parts)
            case AsBoolean():
                plain = self._column(clause.element, (bool,))
                return plain if clause.operator is operators.is_true else _not(plain)
            case UnaryExpression() if clause.operator is operators.inv:
                return _not(self._compile(clause.element))
            case BinaryExpression():
                return self._compare(clause)
            case ColumnElement():
                return self._column(clause, (bool,))
        raise self._refuse(f"{clause} is nothing that is known here")

    def _compare(self, clause: BinaryExpression[Any]) -> Evaluate:
        if clause.operator in (operators.is_, operators.is_not):
            return self._identity(clause)
        if clause.operator in (operators.in_op, operators.not_in_op):
            return self._membership(clause)
        if clause.operator in (operators.between_op, operators.not_between_op) and isinstance(
            clause.right, ExpressionClauseList
        ):
            low, high = clause.right.clauses
            inside = _all([self._ordered(clause.left, operators.ge, low), self._ordered(clause.left, operators.le, high)])
            return inside if clause.operator is operators.between_op else _not(inside)
        if clause.operator not in _COMPARISONS:
            raise self._refuse(f"the operator {getattr(clause.operator, '__name__', clause.operator)} is not among them")
        return self._ordered(clause.left, clause.operator, clause.right)

    def _ordered(self, left: Any, comparison: Any, right: Any) -> Evaluate:
        compare, types = _COMPARISONS[comparison]
        one, other = self._operand(left, types), self._operand(right, types)
        if len({kind for kind in (self._kind(left), self._kind(right)) if kind is not None}) > 1:
            raise self._refuse("the two sides of a comparison are of different kinds")

        def evaluate(values: Mapping[str, Any]) -> Truth:
            first, second = one(values), other(values)
            return None if first is None or second is None else bool(compare(first, second))

        return evaluate

    def _identity(self, clause: BinaryExpression[Any]) -> Evaluate:
        known: dict[type, Truth] = {Null: None, True_: True, False_: False}
        if type(clause.right) not in known:
            raise self._refuse("IS is understood with NULL, true and false")
        wanted = known[type(clause.right)]
        operand = self._column(clause.left, _EQUAL if wanted is None else (bool,))
        same = _is(operand, wanted)
        return same if clause.operator is operators.is_ else _not(same)

    def _membership(self, clause: BinaryExpression[Any]) -> Evaluate:
        operand = self._column(clause.left, _EQUAL)
        if not isinstance(clause.right, BindParameter):
            raise self._refuse("IN is understood with a list of values")
        choices = list(clause.right.effective_value or ())
        for choice in choices:
            self._check_value(choice, _EQUAL)
        if not {_kind(type(each)) for each in choices if each is not None} <= {self._kind(clause.left)}:
            raise self._refuse("the two sides of a comparison are of different kinds")
        known, unknown = [each for each in choices if each is not None], None in choices

        def evaluate(values: Mapping[str, Any]) -> Truth:
            value = operand(values)
            if not choices:
                return False
            if value is None:
                return None
            return True if value in known else None if unknown else False

        return evaluate if clause.operator is operators.in_op else _not(evaluate)

    def _operand(self, clause: Any, types: tuple[type, ...]) -> Evaluate:
        match clause:
            case Grouping():
                return self._operand(clause.element, types)
            case Null():
                return lambda values: None
            case True_() | False_():
                value = isinstance(clause, True_)
                return lambda values: value
            case BindParameter():
                literal = clause.effective_value
                self._check_value(literal, types)
                return lambda values: literal
        return self._column(clause, types)

    def _kind(self, clause: Any) -> type | None:
        match clause:
            case Grouping():
                return self._kind(clause.element)
            case Null():
                return None
            case BindParameter():
                return None if clause.effective_value is None else _kind(type(clause.effective_value))
            case True_() | False_():
                return int
        return _kind(clause.type.python_type)

    def _check_value(self, value: Any, types: tuple[type, ...]) -> None:
        if value is not None and not isinstance(value, types):
            raise self._refuse(f"a {type(value).__name__} is not compared alike everywhere")
        if isinstance(value, datetime.datetime) and value.tzinfo is not None:
            raise self._refuse("moments with a time zone are not compared alike everywhere")

    def _column(self, clause: Any, types: tuple[type, ...]) -> Evaluate:
        column = clause._deannotate() if isinstance(clause, ColumnElement) else clause
        if not isinstance(column, Column) or column not in self._mapper.columns.values():
            raise self._refuse(f"{clause} is no column of its own")
        python_type = python_type_of(column)
        vague = isinstance(column.type, Float | CHAR) or getattr(column.type, "collation", None) is not None
        if vague or getattr(column.type, "timezone", False):
            raise self._refuse(f"{column.name} is {column.type!r}, which is not compared alike everywhere")
        if not issubclass(python_type, types):
            raise self._refuse(f"{column.name} is {column.type!r}, which can't be compared so")
        name = self._mapper.get_property_by_column(column).key
        self._reads.add(name)
        return lambda values: values[name]


def _kind(python_type: type) -> type:
    """Values of one kind are compared alike by Python and by SQL; a date and a moment, say, are not of one kind."""
    if issubclass(python_type, int | decimal.Decimal):
        return int
    if issubclass(python_type, enum.Enum):
        return python_type
    kinds = (str, uuid.UUID, datetime.datetime, datetime.date)
    return next((kind for kind in kinds if issubclass(python_type, kind)), python_type)


def _all(parts: list[Evaluate]) -> Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Truth:
        answers = [part(values) for part in parts]
        return False if False in answers else None if None in answers else True

    return evaluate


def _any(parts: list[Evaluate]) -> Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Truth:
        answers = [part(values) for part in parts]
        return True if True in answers else None if None in answers else False

    return evaluate


def _not(part: Evaluate) -> Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Truth:
        answer = part(values)
        return None if answer is None else not answer

    return evaluate


def _is(part: Evaluate, wanted: Truth) -> Evaluate:
    return lambda values: part(values) is wanted
