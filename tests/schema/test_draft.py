"""Drafts: Python that compiles, every column but those that look secret, and what looks secret."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import inspect

import tests.schema.models
from sqla_realtime.schema.draft import draft_schema, looks_secret, names_of
from sqla_realtime.schema.publication import Publication
from tests.schema.models import Team, User


@pytest.mark.parametrize(
    "name",
    [
        "password", "passwd", "user_PASSWORD", "pwd", "secret", "client_secret", "token", "csrfToken", "hash", "pw_hash",
        "salt", "api_key", "apikey", "API_KEY", "private_key", "credentials", "otp", "totp_seed", "ssn", "iban", "card_number",
        "cardnumber", "cvv", "session_id", "private_notes", "pwhash", "passwordHash", "userOTP",
    ],
)  # fmt: skip
def test_what_looks_secret(name: str) -> None:
    assert looks_secret(name)
    assert looks_secret("id", name)


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "title",
        "name",
        "user_id",
        "created_at",
        "body",
        "key",
        "pass",
        "position",
        "card",
        "session",
        "is_private",
        "has_salt",
        "footprint",
        "classname",
        "hashtag",
        "privately",
    ],
)
def test_what_does_not(name: str) -> None:
    assert not looks_secret(name)


def test_a_column_goes_by_its_own_name_too() -> None:
    assert names_of(inspect(User).attrs["access"]) == ("access", "api_key")


def test_a_draft_says_what_it_leaves_out() -> None:
    # SQLAlchemy 2.0 says that JSON is a dict, 2.1 that it is anything.
    draft = draft_schema(inspect(User)).replace("extra: dict", "extra: Any")
    assert draft.splitlines() == [
        "class UserOut(BaseModel, from_attributes=True):",
        "    shout: Any | None",
        "    id: uuid.UUID",
        "    team_id: int | None",
        "    name: str",
        "    # password_hash looks secret",
        "    # access looks secret",
        "    born: datetime.date | None",
        "    seen: datetime.datetime | None",
        "    colour: tests.schema.models.Colour",
        "    active: bool",
        "    balance: decimal.Decimal",
        "    ratio: float",
        "    big: int",
        "    extra: Any",
        "    version: int",
    ]


@pytest.mark.parametrize("model", [User, Team])
def test_a_draft_can_be_used_as_it_is(model: type) -> None:
    names = {"BaseModel": BaseModel, "Any": Any, "uuid": uuid, "datetime": datetime, "decimal": decimal, "tests": tests}
    names["__name__"] = __name__
    exec(draft_schema(inspect(model)), names)  # noqa: S102
    schema = names[model.__name__ + "Out"]
    assert isinstance(schema, type)
    assert issubclass(schema, BaseModel)
    Publication(model, schema, "all")
