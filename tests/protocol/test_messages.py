"""Messages: frozen, compared by value, and a token that no log can show."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from sqla_realtime.protocol import gathering, messages
from sqla_realtime.protocol.messages import ClientMessage, Hello, Ping, Pong, Row, ServerMessage, Subscribe

ALL = [each for each in vars(messages).values() if isinstance(each, type) and dataclasses.is_dataclass(each)]
ALL = [each for each in ALL if each.__module__ in (messages.__name__, gathering.__name__)]


def test_every_message_is_in_one_of_the_groups() -> None:
    grouped = {*typing.get_args(ClientMessage), *typing.get_args(ServerMessage)}
    assert grouped | {Row} == set(ALL)
    assert set(typing.get_args(ClientMessage)) & set(typing.get_args(ServerMessage)) == {Ping}


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_messages_cannot_be_changed_and_carry_nothing_else(cls: type) -> None:
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(cls)
    assert cls.__doc__


def test_messages_are_equal_by_value() -> None:
    assert Subscribe(1, ("a",)) == Subscribe(1, ("a",), None)
    assert Pong() == Pong()


def test_a_token_gets_into_no_log() -> None:
    assert "secret" not in repr(Hello("secret"))
    assert Hello("a.b.c").token == "a.b.c"  # noqa: S105 - no token
