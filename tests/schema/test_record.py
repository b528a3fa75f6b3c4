"""Records: what the schema says, as JSON that every browser reads back to the same values; nothing but what it names."""

from __future__ import annotations

import datetime
import enum
import json
import math
import uuid
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, computed_field, field_serializer, model_serializer
from pydantic_core import PydanticSerializationError

from sqla_realtime.schema.record import MAX_SAFE, Recorder


class Anything(BaseModel):
    v: Any


def recorder(schema: type[BaseModel], *text: str, reads: tuple[str, ...] | None = None) -> Recorder:
    return Recorder(schema, tuple(schema.model_fields) if reads is None else reads, frozenset(text))


def strict(text: bytes) -> Any:
    """What JSON.parse makes of it, with numbers as browsers hold them."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text.decode(), parse_constant=refuse, parse_int=lambda digits: float(digits))


ANY = recorder(Anything)


class Colour(enum.Enum):
    RED = "#f00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (MAX_SAFE, "9007199254740991"), (-MAX_SAFE, "-9007199254740991"), (MAX_SAFE + 1, '"9007199254740992"'),
        (-MAX_SAFE - 1, '"-9007199254740992"'), (2**100, f'"{2**100}"'), (True, "true"), (None, "null"), (math.nan, "null"),
        (math.inf, "null"), (-math.inf, "null"), ([math.nan, 2**60], f'[null,"{2**60}"]'),
        ({"a": {"b": 2**60}}, f'{{"a":{{"b":"{2**60}"}}}}'),
        ("9" * 30, f'"{"9" * 30}"'), ("é\u2028\x00", '"é\u2028\\u0000"'), (Decimal("1.50"), '"1.50"'), (b"abc", '"abc"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'), (Colour.RED, '"#f00"'),
        (datetime.timedelta(hours=1), '"PT1H"'),
        (datetime.datetime(2024, 1, 2, 3, 4, 5, 6, datetime.UTC), '"2024-01-02T03:04:05.000006Z"'),
        (datetime.date(2024, 1, 2), '"2024-01-02"'),
    ],
)  # fmt: skip
def test_each_kind_of_value(value: object, text: str) -> None:
    assert ANY.dump({"v": value}) == f'{{"v":{text}}}'.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def as_browsers_hold_it(value: Any) -> Any:
    if type(value) is int:
        return float(value) if abs(value) <= MAX_SAFE else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [as_browsers_hold_it(each) for each in value]
    return {key: as_browsers_hold_it(each) for key, each in value.items()} if isinstance(value, dict) else value


@given(JSON.filter(lambda value: "\\ud" not in json.dumps(value)))
def test_no_value_is_rounded_or_unreadable(value: Any) -> None:
    assert strict(ANY.dump({"v": value})) == {"v": as_browsers_hold_it(value)}


class Keys(BaseModel):
    id: int
    owner: int | None
    size: int


def test_a_big_key_is_text_always_so_that_it_has_one_type() -> None:
    keys = recorder(Keys, "id", "owner")
    assert keys.dump({"id": 1, "owner": None, "size": 2}) == b'{"id":"1","owner":null,"size":2}'
    assert keys.dump({"id": 2**60, "owner": 3, "size": 2**60}) == f'{{"id":"{2**60}","owner":"3","size":"{2**60}"}}'.encode()


def test_a_mapping_and_an_object_make_the_same_record() -> None:
    values = {"id": 1, "owner": 2, "size": 3}
    keys = recorder(Keys, "id")
    assert keys.dump(values) == keys.dump(SimpleNamespace(**values)) == b'{"id":"1","owner":2,"size":3}'


@pytest.mark.parametrize("extra", ["allow", "forbid", "ignore"])
def test_nothing_leaves_that_no_field_names(extra: Any) -> None:
    """Rows are read once for several schemas, so a mapping can hold columns of another one."""

    class Narrow(BaseModel, extra=extra):
        id: int

    values = {"id": 1, "salary": 5}
    assert recorder(Narrow).dump(values) == recorder(Narrow).dump(SimpleNamespace(**values)) == b'{"id":1}'


def test_a_field_has_its_own_name_in_the_record() -> None:
    class Named(BaseModel):
        title: str = Field(validation_alias="name", serialization_alias="headLine")
        key: int = Field(serialization_alias="ID")

        @computed_field(alias="LOUD")  # type: ignore[prop-decorator]
        @property
        def loud(self) -> str:
            return self.title.upper()

    named = recorder(Named, "ID", reads=("name", "key"))
    assert named.dump({"name": "a", "key": 1}) == b'{"headLine":"a","ID":"1","LOUD":"A"}'


def test_a_schema_may_leave_a_key_out() -> None:
    class Hidden(BaseModel):
        id: int = Field(exclude=True)
        title: str

    assert recorder(Hidden, "id").dump({"id": 1, "title": "a"}) == b'{"title":"a"}'

    class Whole(BaseModel):
        id: int

        @model_serializer
        def whole(self) -> list[int]:
            return [self.id]

    assert recorder(Whole, "id").dump({"id": 2**60}) == f'["{2**60}"]'.encode()


def test_a_row_that_the_schema_refuses_raises() -> None:
    with pytest.raises(ValidationError):
        recorder(Keys).dump({"id": "x", "owner": 1, "size": 1})
    with pytest.raises(ValidationError):
        recorder(Keys).dump({"id": 1})
    with pytest.raises(PydanticSerializationError):
        ANY.dump({"v": b"\xff"})


class Plain(BaseModel):
    """Fields whose types tell all."""

    number: int
    perhaps: int | None = None
    ratio: float = 0.0
    text: str = ""


class Sly(BaseModel):
    """Text that becomes a number on its way out."""

    text: str

    @field_serializer("text")
    def number(self, value: str) -> int:
        return int(value)


class Sliest(BaseModel):
    """The whole of it does."""

    text: str

    @model_serializer
    def all(self) -> dict[str, Any]:
        return {"text": int(self.text)}


@pytest.mark.parametrize(
    ("schema", "source", "field", "expected"),
    [
        (Plain, {"number": MAX_SAFE}, "number", MAX_SAFE),
        (Plain, {"number": MAX_SAFE + 1}, "number", str(MAX_SAFE + 1)),
        (Plain, {"number": 1, "perhaps": -(2**60)}, "perhaps", str(-(2**60))),
        (Plain, {"number": 1, "ratio": 1 / 7}, "ratio", 1 / 7),
        (Plain, {"number": 1, "text": "1234567890123456789"}, "text", "1234567890123456789"),
        (Sly, {"text": str(2**60)}, "text", str(2**60)),
        (Sliest, {"text": str(2**60)}, "text", str(2**60)),
    ],
)
def test_types_that_tell_all_hide_no_number(schema: type[BaseModel], source: dict[str, Any], field: str, expected: Any) -> None:
    assert json.loads(recorder(schema).dump(source))[field] == expected


def test_a_ready_made_value_is_not_believed_to_hold_what_its_types_say() -> None:
    made = Plain.model_construct(number=1, text=2**60)
    with pytest.warns(UserWarning, match="serializ"):
        assert json.loads(recorder(Plain).dump(made))["text"] == str(2**60)
