"""What strict JSON can carry of a schema, read off what Pydantic compiles it to: refusals when it is declared, null for NaN."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from decimal import Decimal
from pathlib import PurePath
from types import GeneratorType
from typing import Any

from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

from sqla_realtime.errors import SchemaUnsendable

Node = dict[str, Any]

# Where a node's children are in it that take no part in serialisation.
_ASIDE = {"cls", "config", "default", "function", "members", "metadata", "ref", "serialization"}
# What Pydantic can spell without knowing more than the value. https://docs.pydantic.dev/latest/concepts/serialization/
_SPELT = (
    *(str, int, float, complex, bytes, bytearray, Decimal, uuid.UUID, enum.Enum, re.Pattern, PurePath),
    *(datetime.date, datetime.time, datetime.timedelta, list, tuple, set, frozenset, dict, BaseModel, GeneratorType),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network),
)


def compiled(schema: type[BaseModel]) -> TypeAdapter[Any]:
    """Pydantic's adapter of a schema that strict JSON can carry. Raises SchemaUnsendable for any other."""
    try:
        schema.model_rebuild()
        adapter: TypeAdapter[Any] = TypeAdapter(schema)
    except (PydanticUserError, NameError) as error:
        reason = f"Pydantic can't complete it: {str(error).splitlines()[0]}"
        raise SchemaUnsendable(
            schema=schema.__name__, reason=reason, remedy="Publish after every name in its annotations is defined."
        ) from None
    twice = [name for name, count in Counter(_names(schema)).items() if count > 1]
    if twice:
        raise SchemaUnsendable(
            schema=schema.__name__,
            reason=f"two fields are both called {twice[0]!r} in the record, where a name can stand only once.",
            remedy="Give one of them another serialization_alias.",
        )
    for node, config in _serialised(adapter.core_schema, {}):
        _check(schema, node, config)
    return adapter


def tolerant(schema: type[BaseModel], core: Any) -> tuple[SchemaValidator, SchemaSerializer]:
    """A compiled schema's two halves, with null for a Decimal that is no number, which Pydantic refuses or calls "NaN"."""
    config: Any = next((node.get("config") for node, _ in _serialised(core, {}) if node.get("cls") is schema), None)
    made: Any = _tolerant(core)
    try:
        # Newer ones would put back the halves that each model class keeps.
        return (
            SchemaValidator(made, config, _use_prebuilt=False),
            SchemaSerializer(made, config, _use_prebuilt=False),
        )
    except TypeError:
        return SchemaValidator(made, config), SchemaSerializer(made, config)


def has_decimals(core: Any) -> bool:
    """Whether a Decimal may turn up in a compiled schema."""
    return any(node["type"] in ("any", "decimal") for node, _ in _serialised(core, {}))


def _tolerant(node: Any) -> Any:
    if isinstance(node, list | tuple):
        return type(node)(_tolerant(item) for item in node)
    if not isinstance(node, dict):
        return node
    made = {key: value if key in _ASIDE else _tolerant(value) for key, value in node.items()}
    if made.get("type") in ("any", "decimal") and "serialization" not in made:
        made["serialization"] = core_schema.wrap_serializer_function_ser_schema(_finite)
        if made["type"] == "decimal":
            made["allow_inf_nan"] = True
    return made


def _finite(value: Any, spell: core_schema.SerializerFunctionWrapHandler) -> Any:
    return None if isinstance(value, Decimal) and not value.is_finite() else spell(value)


def _names(schema: type[BaseModel]) -> Iterator[str]:
    for name, info in schema.model_fields.items():
        if not info.exclude:
            yield info.serialization_alias or name
    for name, computed in schema.model_computed_fields.items():
        yield computed.alias or name


def _serialised(node: Any, config: Mapping[str, Any]) -> Iterator[tuple[Node, Mapping[str, Any]]]:
    """Every node that says how a part of a value is spelt, with the configuration that it is under."""
    if isinstance(node, list | tuple):
        for item in node:
            yield from _serialised(item, config)
    if not isinstance(node, dict):
        return
    config = node.get("config", config)
    own = node.get("serialization", {})
    match node.get("type"):
        case _ if own and own["type"] != "include-exclude-sequence" and own["type"] != "include-exclude-dict":
            yield from _serialised(own.get("return_schema"), config)
        case "model-field" if node.get("serialization_exclude"):
            return
        case "json-or-python":
            yield from _serialised(node["json_schema"], config)
        case "lax-or-strict":
            yield from _serialised(node["strict_schema"], config)
        case "chain":
            yield from _serialised(node["steps"][-1], config)
        case kind:
            if isinstance(kind, str):
                yield node, config
            for key, value in node.items():
                if key not in _ASIDE:
                    yield from _serialised(value, config)


def _check(schema: type[BaseModel], node: Node, config: Mapping[str, Any]) -> None:
    reason = remedy = ""
    match node["type"]:
        case "bytes" if config.get("ser_json_bytes", "utf8") == "utf8":
            reason = "it has bytes, and those that are not UTF-8 have no text."
            remedy = 'Give it model_config = ConfigDict(ser_json_bytes="base64"), and so each schema in it with bytes.'
        case "is-instance" if not _is_spelt(node["cls"]):
            reason = f"{node['cls'].__name__} has no JSON form."
            remedy = "Annotate the field with a type that has one, or with Annotated[..., PlainSerializer(function)]."
        case "callable" | "is-subclass":
            reason = "functions and classes have no JSON form."
            remedy = "Remove the field."
    if config.get("ser_json_inf_nan", "null") != "null":
        reason = f"ser_json_inf_nan={config['ser_json_inf_nan']!r} would send NaN and Infinity, which are null in a record."
        remedy = "Remove that setting."
    if reason:
        raise SchemaUnsendable(schema=schema.__name__, reason=reason, remedy=remedy)


def _is_spelt(cls: Any) -> bool:
    return isinstance(cls, type) and (issubclass(cls, _SPELT) or is_dataclass(cls) or hasattr(cls, "__pydantic_serializer__"))
