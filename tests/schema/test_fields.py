"""Fields: which attribute each reads and how the record spells it; every mistake is found when it is declared."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from pydantic import AliasChoices, AliasGenerator, AliasPath, BaseModel, ConfigDict, Field, computed_field, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import inspect
from sqlalchemy.orm import class_mapper

from sqla_realtime.errors import DeclarationError, SchemaMismatch, SecretColumn
from sqla_realtime.schema.fields import Fields, column_of, read_fields
from tests.schema.models import Cat, Seat, Team, User


def read(schema: type[BaseModel], *expose: str, model: type = User) -> Fields:
    return read_fields(class_mapper(model), schema, expose)


def refused(schema: type[BaseModel], *expose: str) -> DeclarationError:
    with pytest.raises(DeclarationError) as caught:
        read(schema, *expose)
    return caught.value


def test_plain_columns_are_read_by_name_and_need_no_instance() -> None:
    class Plain(BaseModel):
        name: str
        id: uuid.UUID

    fields = read(Plain)
    assert fields.attributes == {"name": "name", "id": "id"}
    assert fields.spelled == ("name", "id")
    assert fields.opaque == fields.text == frozenset()
    assert fields.keys == {"id"}
    assert not fields.needs_object


def test_aliases_read_and_spell() -> None:
    class Aliased(BaseModel):
        title: str = Field(validation_alias="name")
        team: int = Field(alias="team_id")
        born: str = Field(serialization_alias="BORN")

    fields = read(Aliased)
    assert fields.attributes == {"name": "title", "team_id": "team_id", "born": "BORN"}
    assert fields.text == {"team_id"}


def test_a_generator_of_aliases_for_the_record() -> None:
    class Camel(BaseModel):
        model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel))
        team_id: int

    assert read(Camel).attributes == {"team_id": "teamId"}
    assert read(Camel).text == {"teamId"}


@pytest.mark.parametrize("config", [{"populate_by_name": True}, {"validate_by_name": True, "validate_by_alias": True}])
def test_a_generator_of_aliases_for_both_where_fields_may_be_read_by_name(config: Any) -> None:
    class Camel(BaseModel):
        model_config = ConfigDict(alias_generator=to_camel, **config)
        team_id: int
        name: str

    assert read(Camel).attributes == {"team_id": "teamId", "name": "name"}


def test_big_keys_are_text_and_other_big_integers_are_not() -> None:
    class Big(BaseModel):
        team_id: int | None
        big: int

    assert read(Big).text == {"team_id"}

    class TeamOut(BaseModel):
        id: int

    assert read(TeamOut, model=Team).text == {"id"}


def test_what_only_python_knows_is_opaque_and_needs_an_instance() -> None:
    class Computing(BaseModel):
        name: str
        label: str
        initial: str
        shout: str

        @computed_field(alias="LONG")  # type: ignore[prop-decorator]
        @property
        def long(self) -> bool:
            return len(self.name) > 5

    fields = read(Computing)
    assert fields.opaque == {"label", "initial", "shout", "LONG"}
    assert fields.spelled == ("name", "label", "initial", "shout", "LONG")
    assert fields.needs_object


class Before(BaseModel):
    name: str

    @model_validator(mode="before")
    @classmethod
    def check(cls, source: Any) -> Any:
        return source


class Wrap(BaseModel):
    name: str

    @model_validator(mode="wrap")
    @classmethod
    def check(cls, source: Any, handler: Any) -> Any:
        return handler(source)


class After(BaseModel):
    name: str

    @model_validator(mode="after")
    def check(self) -> After:
        return self


@pytest.mark.parametrize(("schema", "needs"), [(Before, True), (Wrap, True), (After, False)])
def test_a_validator_that_looks_at_the_source_needs_an_instance(schema: type[BaseModel], needs: bool) -> None:
    assert read(schema).needs_object is needs


def test_a_computed_field_alone_needs_no_instance() -> None:
    class Computing(BaseModel):
        name: str

        @computed_field  # type: ignore[prop-decorator]
        @property
        def long(self) -> bool:
            return True

    assert not read(Computing).needs_object


def test_keys_are_attributes_of_composite_and_joined_keys() -> None:
    class Empty(BaseModel):
        pass

    assert read(Empty, model=Seat).keys == {"number", "row"}
    assert read(Empty, model=Cat).keys == {"id"}


# Mistakes.


def test_a_field_without_an_attribute_is_told_what_there_is() -> None:
    class Typo(BaseModel):
        nmae: str

    error = refused(Typo)
    assert isinstance(error, SchemaMismatch)
    assert "Typo.nmae reads User.nmae" in str(error)
    assert "name" in str(error.facts["attributes"])


def test_a_field_with_a_default_is_no_excuse() -> None:
    class Defaulted(BaseModel):
        nmae: str = "x"

    assert isinstance(refused(Defaulted), SchemaMismatch)


@pytest.mark.parametrize("alias", [AliasPath("extra", "name"), AliasChoices("name", "title")])
def test_an_alias_that_leaves_a_choice_is_refused(alias: Any) -> None:
    class Choosing(BaseModel):
        title: str = Field(validation_alias=alias)

    assert "a guess" in str(refused(Choosing))


def test_two_fields_of_one_attribute_are_refused() -> None:
    class Twice(BaseModel):
        name: str
        title: str = Field(validation_alias="name")

    assert "title and name both read User.name" in str(refused(Twice))


def test_a_relationship_without_a_schema_of_its_own_is_refused() -> None:
    class Embedding(BaseModel):
        team: Any

    assert "team is a relationship, and its type is no Pydantic model" in str(refused(Embedding))


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("password_hash", "password_hash"),
        ("access", "access"),  # its column is api_key
        ("innocent", "password_hash"),
        ("login", "login"),  # a synonym of password_hash
        ("token", "name"),
    ],
)
def test_what_looks_secret_is_refused_by_any_of_its_names_unless_exposed(field: str, attribute: str) -> None:
    annotations = {"__annotations__": {field: str}, field: Field(validation_alias=attribute)}
    schema = type("Leaking", (BaseModel,), {"__module__": __name__, **annotations})
    error = refused(schema)
    assert isinstance(error, SecretColumn)
    assert f'expose=["{field}"]' in str(error)
    assert read(schema, field).attributes == {attribute: field}
    assert isinstance(refused(schema, "name"), SecretColumn)


def test_a_column_behind_an_attribute() -> None:
    mapper = inspect(User)
    assert column_of(mapper, "name") is User.__table__.c.user_name
    for other in ("shout", "label", "initial", "team", "login", "nothing"):
        assert column_of(mapper, other) is None
