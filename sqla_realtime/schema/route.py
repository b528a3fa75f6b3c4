"""Channels that a pattern can't say: a function of the row gives the parameters, and the user gives the SELECT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import Mapper

from sqla_realtime.errors import BadParameterType, BadRoute
from sqla_realtime.schema.channels import Parameter, Pattern


@dataclass(frozen=True, slots=True)
class Route:
    """Where the rows of a publication go, by the application's own functions.

    ``function`` is given the attributes that ``reads`` names and answers with one mapping of parameters for each channel
    of the row. ``types`` are the parameters' types. ``select`` is called with the parameters of one channel and answers
    with the SELECT of its rows; the two must agree, for the one is what clients start from and the other what they get.
    """

    function: Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]]]
    reads: tuple[str, ...]
    types: Mapping[str, type]
    select: Callable[..., Select[Any]]

    def __call__(self, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The parameters of every channel of a row."""
        return list(self.function(MappingProxyType({name: values[name] for name in self.reads})))

    def parameters(self, model: type[Any], pattern: Pattern) -> dict[str, Parameter]:
        """How the placeholders are written. Raises BadRoute or BadParameterType."""
        if set(self.types) != set(pattern.placeholders):
            reason = f"parameters= must name its placeholders: {', '.join(pattern.placeholders) or 'there are none'}"
            raise BadRoute(model=model.__name__, pattern=pattern.text, reason=reason)
        parameters = {}
        for name, python_type in self.types.items():
            parameter = Parameter.of(python_type)
            if parameter is None:
                facts = {"model": model.__name__, "placeholder": name, "type": python_type.__name__}
                raise BadParameterType(pattern=pattern.text, **facts)
            parameters[name] = parameter
        return parameters

    def where(self, model: type[Any], mapper: Mapper[Any], values: Mapping[str, Any]) -> ColumnElement[bool]:
        """The rows of one channel, as those whose keys the user's SELECT selects."""
        keys = [getattr(model, mapper.get_property_by_column(column).key) for column in mapper.primary_key]
        chosen = self.select(**values).with_only_columns(*keys, maintain_column_froms=True).order_by(None)
        return (keys[0] if len(keys) == 1 else tuple_(*keys)).in_(chosen)
