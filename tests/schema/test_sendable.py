"""Schemas that strict JSON can't carry are refused when they are declared; whatever is accepted becomes strict JSON."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import (
    Base64UrlBytes,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    computed_field,
    create_model,
    model_validator,
)

from sqla_realtime.errors import SchemaUnsendable
from sqla_realtime.schema.record import Recorder
from tests.support.strict import strict

NAN, INF = float("nan"), float("inf")
BASE64 = ConfigDict(ser_json_bytes="base64")
ANYTHING = ConfigDict(arbitrary_types_allowed=True)


class Shape:
    """A class of which Pydantic knows nothing."""


class Text(str):
    """One of which it knows enough."""


@dataclasses.dataclass
class Pair:
    """Another."""

    left: int
    right: int


class Inner(BaseModel):
    """Bytes, without saying how they are spelt."""

    data: bytes


class Careful(BaseModel):
    """The same, saying how."""

    model_config = BASE64
    data: bytes


class Digest(BaseModel):
    """Bytes that nobody stored."""

    id: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def digest(self) -> bytes:
        return b"\xff"


def schema(annotation: Any, config: ConfigDict | None = None, **more: Any) -> type[BaseModel]:
    return create_model("Out", __config__=config, value=(annotation, ...), **more)


def recorder_of(schema: type[BaseModel], text: frozenset[str] = frozenset()) -> Recorder:
    """A recorder that is given what its fields read."""
    return Recorder(
        schema, [str(info.validation_alias or info.alias or name) for name, info in schema.model_fields.items()], text
    )


@pytest.mark.parametrize(
    ("unsendable", "reason"),
    [
        (schema(bytes), 'ser_json_bytes="base64"'),
        (schema(bytes | None), "ser_json_bytes"),
        (schema(list[dict[str, bytes]]), "ser_json_bytes"),
        (schema(Inner), "ser_json_bytes"),
        (schema(Inner, BASE64), "and so each schema in it"),
        (Digest, "ser_json_bytes"),
        (schema(Shape, ANYTHING), "Shape has no JSON form"),
        (schema(Shape | None, ANYTHING), "Shape has no JSON form"),
        (schema(dict[str, list[Shape]], ANYTHING), "Shape has no JSON form"),
        (schema(Callable[[], int]), "functions and classes"),
        (schema(type[int]), "functions and classes"),
        (schema(float, ConfigDict(ser_json_inf_nan="constants")), "'constants' would send NaN"),
        (schema(float, ConfigDict(ser_json_inf_nan="strings")), "'strings' would send NaN"),
        (schema(Annotated[int, Field(serialization_alias="x")], x=(int, 1)), "both called 'x'"),
        (schema("Nowhere"), "can't complete it"),
    ],
)
def test_what_json_can_not_carry_is_refused(unsendable: type[BaseModel], reason: str) -> None:
    with pytest.raises(SchemaUnsendable, match=reason):
        recorder_of(unsendable, frozenset())


@pytest.mark.parametrize(
    ("sendable", "value", "spelt"),
    [
        (schema(bytes, BASE64), b"\xff\xfe", "__4="),
        (schema(bytes, ConfigDict(ser_json_bytes="hex")), b"\xff\xfe", "fffe"),
        (schema(Base64UrlBytes), b"__4=", "__4="),
        (schema(Annotated[bytes, PlainSerializer(bytes.hex)]), b"\xff", "ff"),
        (schema(Annotated[bytes, Field(exclude=True)]), b"\xff", None),
        (schema(Careful), {"data": b"\xff"}, {"data": "_w=="}),
        (schema(Annotated[Shape, PlainSerializer(lambda shape: "round")], ANYTHING), Shape(), "round"),
        (schema(Text, ANYTHING), Text("a"), "a"),
        (schema(Pair), Pair(1, 2), {"left": 1, "right": 2}),
        (schema(Any, BASE64), b"\xff", "_w=="),
        (schema(dict[str, Any], BASE64), {"a": [b"\xff"]}, {"a": ["_w=="]}),
        (schema(complex), 1 + 2j, "1+2j"),
    ],
)
def test_what_it_can_is_not(sendable: type[BaseModel], value: Any, spelt: Any) -> None:
    assert strict(recorder_of(sendable, frozenset()).dump({"value": value})).get("value") == spelt


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("annotation", [float, Decimal, Any, list[float], Annotated[Decimal, Field(allow_inf_nan=True)]])
@pytest.mark.parametrize("neighbour", [1, 2**60])
def test_no_number_is_null(annotation: Any, value: float, neighbour: int) -> None:
    recorder = recorder_of(schema(annotation, other=(int, ...)), frozenset())
    spelt: Any = Decimal(value) if annotation not in (float, list[float]) else value
    spelt = [spelt] if annotation == list[float] else spelt
    record = strict(recorder.dump({"value": spelt, "other": neighbour}))
    assert record["value"] == ([None] if annotation == list[float] else None)


@pytest.mark.parametrize("annotation", [Decimal, Any, Decimal | None, Annotated[Decimal, Field(gt=0)]])
def test_other_decimals_are_text_with_every_digit(annotation: Any) -> None:
    recorder = recorder_of(schema(annotation), frozenset())
    for text in ("1.50", "0.1000000000000000055511151231257827", "12345678901234567890.12"):
        assert strict(recorder.dump({"value": Decimal(text)})) == {"value": text}


def test_nested_schemas_and_recursive_ones_with_decimals() -> None:
    class Tree(BaseModel):
        weight: Decimal
        children: list[Tree] = []

    recorder = recorder_of(Tree, frozenset())
    record = strict(recorder.dump({"weight": Decimal("NaN"), "children": [{"weight": 1}]}))
    assert record == {"weight": None, "children": [{"weight": "1", "children": []}]}


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (2**53 - 1, 2**53 - 1),
        (2**53, str(2**53)),
        (-(2**53), str(-(2**53))),
        (10**30, str(10**30)),
        ([2**53, 1], [str(2**53), 1]),
        ({"deep": [{"er": 2**63}], "id": True}, {"deep": [{"er": str(2**63)}], "id": True}),
        ({"text": "12345678901234567890"}, {"text": "12345678901234567890"}),
        (1e300, 1e300),
    ],
)
def test_integers_that_a_browser_would_round_are_text(value: Any, spelt: Any) -> None:
    assert strict(recorder_of(schema(Any), frozenset()).dump({"value": value})) == {"value": spelt}


def test_big_keys_are_text_always_and_may_be_absent() -> None:
    keyed = recorder_of(schema(int | None), frozenset({"value"}))
    assert [strict(keyed.dump({"value": value})) for value in (1, None)] == [{"value": "1"}, {"value": None}]
    hidden = recorder_of(schema(Annotated[int, Field(exclude=True)]), frozenset({"value"}))
    assert strict(hidden.dump({"value": 1})) == {}


@pytest.mark.parametrize("extra", ["allow", "forbid", "ignore"])
def test_a_row_has_more_attributes_than_its_schema_and_none_of_them_leaves(extra: Any) -> None:
    recorder = recorder_of(schema(Annotated[int, Field(validation_alias="size")], ConfigDict(extra=extra)), frozenset())
    assert strict(recorder.dump({"size": 1, "password": "x"})) == {"value": 1}


def test_an_enum_is_its_value_and_a_validator_is_asked() -> None:
    class Colour(enum.Enum):
        RED = "r"

    class Out(BaseModel):
        colour: Colour
        price: Decimal

        @model_validator(mode="after")
        def refuse(self) -> Out:
            if self.price == 13:
                raise ValueError("unlucky")
            return self

    recorder = recorder_of(Out, frozenset())
    assert json.loads(recorder.dump({"colour": Colour.RED, "price": 1})) == {"colour": "r", "price": "1"}
    with pytest.raises(ValueError, match="unlucky"):
        recorder.dump({"colour": Colour.RED, "price": 13})
