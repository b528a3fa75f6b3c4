"""Test clients among others: they meet each other as browsers would, and are refused as those are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from sqla_realtime import Realtime, anyone
from sqla_realtime.testing import RealtimeClient, Refusal
from tests.support.scene import SECRET

ROOM = "rooms/5"


@dataclass(frozen=True)
class User:
    id: int
    name: str


class Profile(BaseModel):
    name: str


class Typing(BaseModel):
    on: bool


ANN, BOB = User(1, "Ann"), User(2, "Bob")


@pytest.fixture
def realtime() -> Realtime:
    made = Realtime(secret=SECRET)
    made.channel("rooms/{room}", presence=Profile, events={"typing": Typing})(lambda user, room: room == "5")
    made.channel("ids", presence=Profile)(anyone)
    return made


@pytest.fixture
def client(realtime: Realtime) -> Iterator[Callable[..., RealtimeClient]]:
    made: list[RealtimeClient] = []

    def make(*arguments: Any, **options: Any) -> RealtimeClient:
        made.append(RealtimeClient(realtime, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_clients_of_one_application_meet(client: Callable[..., RealtimeClient]) -> None:
    ann, bob = client(ANN), client(BOB)
    assert ann.attend(ROOM) == {"1": {"name": "Ann"}}
    assert bob.attend(ROOM) == ann.members(ROOM) == {"1": {"name": "Ann"}, "2": {"name": "Bob"}}
    bob.say(ROOM, "typing", {"on": True})
    assert ann.events() == [{"channel": ROOM, "name": "typing", "from": "2", "data": {"on": True}}]
    assert ann.events() == bob.events() == []
    bob.depart(ROOM)
    assert ann.members(ROOM) == {"1": {"name": "Ann"}}
    with pytest.raises(LookupError, match="attend\\('rooms/5'\\) comes first"):
        bob.members(ROOM)
    bob.attend(ROOM)
    bob.close()
    assert ann.members(ROOM) == {"1": {"name": "Ann"}}


def test_those_of_another_do_not(client: Callable[..., RealtimeClient]) -> None:
    ann = client(ANN)
    ann.attend(ROOM)
    other = Realtime()
    other.channel("rooms/{room}", presence=Profile)(anyone)
    with RealtimeClient(other, BOB) as bob:
        assert bob.attend(ROOM) == {"2": {"name": "Bob"}}
    assert ann.members(ROOM) == {"1": {"name": "Ann"}}


def test_what_a_browser_is_refused_they_are_too(client: Callable[..., RealtimeClient]) -> None:
    ann = client(ANN)
    with pytest.raises(Refusal, match="forbidden"):
        ann.attend("rooms/6")
    with pytest.raises(Refusal, match="not-attending"):
        ann.say(ROOM, "typing", {"on": True})
    ann.attend(ROOM)
    with pytest.raises(Refusal, match=r"on: Input should be a valid boolean.*\[invalid-event\]"):
        ann.say(ROOM, "typing", {"on": "perhaps"})
    with pytest.raises(Refusal, match=r"Declared are: typing. \[unknown-event\]"):
        ann.say(ROOM, "shout")


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        (User(7, "x"), ["7"]),
        (type("Named", (), {"id": UUID(int=1), "name": "x"})(), [str(UUID(int=1))]),
        (type("Nobody", (), {"id": None, "name": "x"})(), []),
        ({"name": "x"}, []),
    ],
)
def test_the_id_of_a_user(client: Callable[..., RealtimeClient], user: Any, ids: list[str]) -> None:
    assert list(client(user).attend("ids")) == ids


def test_a_token_says_who_it_is_as_in_a_browser(client: Callable[..., RealtimeClient], realtime: Realtime) -> None:
    realtime.identify(lambda identity: User(0, f"user {identity.id}"))
    assert client(token=realtime.token(7)).attend(ROOM) == {"7": {"name": "user 7"}}
    assert client().attend(ROOM) == {"7": {"name": "user 7"}}, "an anonymous one listens"


def test_in_a_test_that_is_a_coroutine(client: Callable[..., RealtimeClient]) -> None:
    async def story() -> None:
        ann, bob = client(ANN), client(BOB)
        ann.attend(ROOM)
        bob.attend(ROOM)
        bob.say(ROOM, "typing", {"on": True})
        assert [event["from"] for event in ann.events()] == ["2"]

    asyncio.run(story())
