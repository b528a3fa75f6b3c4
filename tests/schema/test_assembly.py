"""Members and events: exactly the declared fields leave, whatever is sent besides is refused, and so are bad declarations."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, RootModel, StringConstraints, ValidationError, computed_field

from sqla_realtime.errors import BadEvent, BadPresence, DeclarationError, SchemaUnsendable
from sqla_realtime.schema.assembly import Assembly


class Profile(BaseModel):
    name: str
    face: str | None = Field(None, validation_alias="avatar")

    @computed_field
    def initial(self) -> str:
        return self.name[:1]


class Cursor(BaseModel):
    x: int
    y: float = Field(0, alias="Y")


class Text(BaseModel):
    body: Annotated[str, StringConstraints(max_length=5)]


class Loose(BaseModel, extra="ignore"):
    x: int = 0


class Numbers(RootModel[list[int]]):
    pass


USER = SimpleNamespace(id=7, name="Ann", avatar="a.png", password="secret", email="ann@example.org")  # noqa: S106


def test_others_see_of_a_user_what_is_declared_and_nothing_else() -> None:
    assembly = Assembly("rooms/{room}", Profile)
    assert json.loads(assembly.profile(USER)) == {"name": "Ann", "face": "a.png", "initial": "A"}
    assert json.loads(assembly.profile(vars(USER))) == {"name": "Ann", "face": "a.png", "initial": "A"}
    assert (assembly.shown, assembly.events) == (("name", "face", "initial"), ())
    with pytest.raises(ValidationError):
        assembly.profile(SimpleNamespace(avatar="a.png"))


def test_what_a_browser_cannot_hold_is_spelled_as_in_records() -> None:
    class Wide(BaseModel):
        points: int
        share: float

    text = Assembly("x", Wide).profile({"points": 2**60, "share": float("nan")})
    assert json.loads(text) == {"points": str(2**60), "share": None}


EVENTS = Assembly("x", events={"cursor": Cursor, "text": Text, "loose": Loose, "a.b:c_d-1": Numbers})


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("cursor", '{"x":1,"Y":2}', '{"x":1,"Y":2.0}'),
        ("cursor", '{"x":"1"}', '{"x":1,"Y":0.0}'),
        ("cursor", '{"x":9007199254740993}', '{"x":"9007199254740993","Y":0.0}'),
        ("text", '{"body":"hello"}', '{"body":"hello"}'),
        ("loose", '{"x":1,"y":2}', '{"x":1}'),
        ("a.b:c_d-1", "[1,2]", "[1,2]"),
    ],
)
def test_an_event_is_told_as_its_model_has_it(name: str, data: str, told: str) -> None:
    assert EVENTS.event(name, data) == told


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cursor", "{}"),
        ("cursor", '{"x":"one"}'),
        ("cursor", '{"x":1,"y":2}'),
        ("cursor", '{"x":1,"from":"bob"}'),
        ("cursor", "null"),
        ("cursor", "[]"),
        ("text", '{"body":"hello!"}'),
        ("text", '{"body":5}'),
        ("a.b:c_d-1", '{"root":[1]}'),
    ],
)
def test_anything_else_is_refused(name: str, data: str) -> None:
    with pytest.raises(ValidationError):
        EVENTS.event(name, data)


@pytest.mark.parametrize("name", ["", "Cursor", "cursor ", "shout", "__class__"])
def test_an_event_that_nobody_declared(name: str) -> None:
    with pytest.raises(LookupError):
        EVENTS.event(name, "{}")


def test_the_declared_model_is_left_as_it_is() -> None:
    assert Cursor.model_config.get("extra") is None
    assert Cursor.model_validate({"x": 1, "other": 2}).x == 1


class Secret(BaseModel):
    name: str
    api_token: str


class Renamed(BaseModel):
    shown: str = Field(validation_alias="password")


class Unsendable(BaseModel):
    what: type


@pytest.mark.parametrize(
    ("presence", "code", "reason"),
    [
        (dict, "bad-presence", "it is no Pydantic model with fields"),
        (Profile(name="x"), "bad-presence", "it is no Pydantic model"),
        (BaseModel, "bad-presence", "it is no Pydantic model"),
        (Numbers, "bad-presence", "it is no Pydantic model"),
        (Secret, "bad-presence", "its field 'api_token' looks like a secret"),
        (Renamed, "bad-presence", "its field 'shown' looks like a secret"),
        (Unsendable, "schema-unsendable", "type has no JSON form"),
    ],
)
def test_a_bad_profile_is_refused_where_it_is_declared(presence: Any, code: str, reason: str) -> None:
    with pytest.raises((BadPresence, SchemaUnsendable), match=reason) as caught:
        Assembly("rooms/{room}", presence)
    assert isinstance(caught.value, DeclarationError)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([Cursor], "it is no mapping"),
        ({"cursor"}, "it is no mapping"),
        ({1: Cursor}, "1 is no name"),
        ({"": Cursor}, "'' is no name"),
        ({"two words": Cursor}, "is no name"),
        ({"x" * 65: Cursor}, "is no name"),
        ({"-x": Cursor}, "is no name"),
        ({"x": dict}, "is no Pydantic model"),
        ({"x": None}, "is no Pydantic model"),
        ({"x": Cursor(x=1)}, "is no Pydantic model"),
    ],
)
def test_bad_events_are_refused_where_they_are_declared(events: Any, reason: str) -> None:
    with pytest.raises(BadEvent, match=reason):
        Assembly("rooms/{room}", events=events)
