"""The seam between what is said and how it is spelled: every dialect has all of it, and one kind of refusal."""

from __future__ import annotations

import inspect

import pytest

from sqla_realtime.protocol.codec import BadMessage, Codec
from sqla_realtime.protocol.pusher import Pusher
from sqla_realtime.protocol.v1 import V1

METHODS = {name: value for name, value in vars(Codec).items() if inspect.isfunction(value) and not name.startswith("_")}


def test_the_seam() -> None:
    assert set(METHODS) == {"decode", "batch", "command", "subscription", "encode", "closes", "change", "commit"}
    assert all(inspect.getdoc(method) for method in METHODS.values())


@pytest.mark.parametrize("dialect", [V1, Pusher], ids=lambda dialect: dialect.__name__)
def test_a_dialect_has_all_of_it(dialect: type) -> None:
    for name, method in METHODS.items():
        assert inspect.signature(getattr(dialect, name)) == inspect.signature(method)


@pytest.mark.parametrize("dialect", [V1], ids=lambda dialect: dialect.__name__)
def test_a_dialect_keeps_no_state(dialect: type) -> None:
    assert vars(dialect()) == {}


def test_a_refusal_has_a_code_and_a_message() -> None:
    bad = BadMessage("malformed", "why")
    assert (bad.code, bad.message, str(bad)) == ("malformed", "why", "why")
