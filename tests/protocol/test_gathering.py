"""Messages about members and events: all of them are among the protocol's, and those of a client name what they are about."""

from __future__ import annotations

import dataclasses
import typing

from sqla_realtime.protocol import gathering
from sqla_realtime.protocol.gathering import Attend, Depart, Person, Say
from sqla_realtime.protocol.messages import ClientMessage, ServerMessage


def test_each_is_one_of_the_protocols() -> None:
    own = {each for each in vars(gathering).values() if isinstance(each, type) and dataclasses.is_dataclass(each)}
    assert own <= {*typing.get_args(ClientMessage), *typing.get_args(ServerMessage)}


def test_what_a_client_says_has_a_number_and_a_channel() -> None:
    assert (Attend(1, "a").tag, Depart(2, "a").id, Say(3, "a", "typing", "{}").channel) == (None, 2, "a")


def test_a_person_is_an_id_and_a_text() -> None:
    assert Person("7", "{}") == ("7", "{}")
