"""A publication is checked in full when it is made, and its pattern is the WHERE of its channels."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import inspect
from sqlalchemy.dialects import sqlite

from sqla_realtime.errors import BadParameterType, BadPattern, NotMapped, SchemaMissing, SchemaUnsendable, UnknownPlaceholder
from sqla_realtime.schema.publication import Publication
from tests.schema.models import Animal, Cat, Colour, Dog, Seat, Team, User


class Out(BaseModel):
    id: Any


class SeatOut(BaseModel):
    row: str


class NoModel:
    pass


def test_a_publication_knows_its_channels() -> None:
    publication = Publication(User, Out, "teams/{team_id}/{active}")
    assert publication.channels({"team_id": 5, "active": True, "name": "x"}) == ("teams/5/true",)
    assert publication.channels({"team_id": None, "active": True}) == ()
    assert repr(publication) == "Publication(User, 'teams/{team_id}/{active}')"


def where(publication: Publication, **values: Any) -> list[str]:
    options = {"literal_binds": True}
    return [str(each.compile(dialect=sqlite.dialect(), compile_kwargs=options)) for each in publication.where(values)]


def test_the_pattern_is_the_where() -> None:
    assert where(Publication(User, Out, "{team_id}/{name}"), team_id=5, name="a'b") == [
        "member.team_id = 5",
        "member.user_name = 'a''b'",
    ]
    assert where(Publication(User, Out, "{colour}"), colour=Colour.RED) == ["member.colour = 'RED'"]
    assert where(Publication(User, Out, "users")) == []


@pytest.mark.parametrize("model", [NoModel, User.__table__, "User", None, Out, uuid.uuid4()])
def test_what_is_not_mapped_is_refused(model: Any) -> None:
    with pytest.raises(NotMapped) as caught:
        Publication(model, Out, "x")
    assert repr(model) in str(caught.value)


def test_without_a_schema_there_is_a_draft_in_the_error() -> None:
    with pytest.raises(SchemaMissing) as caught:
        Publication(Team, None, "x")
    assert "class TeamOut(BaseModel, from_attributes=True):\n    id: int\n    name: str" in str(caught.value)


@pytest.mark.parametrize("schema", [NoModel, "x", {"id": int}, Out(id=1), list[Out]])
def test_what_is_no_pydantic_model_is_no_schema(schema: Any) -> None:
    with pytest.raises(SchemaUnsendable, match=r"not a Pydantic model"):
        Publication(Team, schema, "x")


def test_a_pattern_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadPattern):
        Publication(Team, Out, "a b")


@pytest.mark.parametrize("placeholder", ["nothing", "team", "label", "initial", "shout", "user_name"])
def test_a_placeholder_is_a_column_attribute(placeholder: str) -> None:
    with pytest.raises(UnknownPlaceholder) as caught:
        Publication(User, Out, f"x/{{{placeholder}}}")
    assert "team_id" in str(caught.value.facts["attributes"])


@pytest.mark.parametrize(("placeholder", "python_type"), [("balance", "Decimal"), ("ratio", "float"), ("seen", "datetime")])
def test_a_placeholder_has_one_text(placeholder: str, python_type: str) -> None:
    with pytest.raises(BadParameterType) as caught:
        Publication(User, Out, f"x/{{{placeholder}}}")
    assert caught.value.facts["type"] == python_type


@pytest.mark.parametrize("placeholder", ["id", "team_id", "name", "born", "colour", "active", "big"])
def test_parameters_that_can_be(placeholder: str) -> None:
    assert list(Publication(User, Out, f"x/{{{placeholder}}}").parameters) == [placeholder]


def test_the_database_changes_some_columns_by_itself() -> None:
    assert Publication(User, Out, "x").volatile == {"seen", "version"}
    assert Publication(Team, Out, "x").volatile == frozenset()


def test_a_row_is_of_its_own_class() -> None:
    animals = Publication(Animal, Out, "x", name="Beast")
    assert animals.cls(inspect(Animal)) == "Beast"
    assert animals.cls(inspect(Dog)) == "Dog"
    assert Publication(Cat, Out, "x").cls(inspect(Cat)) == "Cat"


def test_what_looks_secret_is_sent_on_purpose_only() -> None:
    class Exposing(BaseModel):
        password_hash: str

    publication = Publication(User, Exposing, "x", expose=["password_hash"])
    assert publication.recorder.dump({"password_hash": "x", "access": "y"}) == b'{"password_hash":"x"}'


def test_a_row_may_have_a_key_that_is_not_sent() -> None:
    assert Publication(Seat, SeatOut, "halls/{hall}").recorder.dump({"row": "a", "number": 1, "hall": "A"}) == b'{"row":"a"}'
