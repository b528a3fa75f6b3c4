"""Members and events on every transport: the same is told, whatever carries it, to those who are there and to nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from sqla_realtime import signed_in
from tests.support.carriers import KINDS, PollPeer
from tests.support.peer import Peer
from tests.support.scene import PAGES, SECRET, Scene, eventually, live
from tests.support.web import ask

Make = Callable[..., Scene]
Kind = type[Peer]
ROOM = "rooms/5"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@dataclass
class User:
    id: str
    name: str
    email: str = "not for others"


class Profile(BaseModel):
    name: str


class Typing(BaseModel):
    on: bool


@pytest.fixture
def made(scene: Make) -> Scene:
    """Users are called by their ids; who is banned may not be in a room."""
    made = scene(secret=SECRET)
    banned: set[str] = set()
    made.realtime.identify(lambda identity: User(identity.id, f"user {identity.id}"))
    made.realtime.channel("rooms/{room}", presence=Profile, events={"typing": Typing})(
        lambda user, room: user is not None and user.id not in banned
    )
    made.banned = banned  # type: ignore[attr-defined]
    # Long enough for a machine that is busy, short enough to be waited for.
    made.server.house.gathering._presence._grace = 0.5
    return made


async def come(peer: Peer, made: Scene, user: str | None, channel: str = ROOM, **more: Any) -> dict[str, Any]:
    await peer.hello(None if user is None else made.realtime.token(user))
    return await attend(peer, channel, **more)


async def attend(peer: Peer, channel: str = ROOM, number: int = 7, **more: Any) -> dict[str, Any]:
    await peer.say({"type": "attend", "id": number, "channel": channel, **more})
    if "tag" in more:
        await peer.say({"type": "ping"})  # without which a poll does not end for the sake of what is known already
    return await peer.until(lambda message: message.get("id") == number)


async def tell(peer: Peer, data: Any, name: str = "typing", number: int = 8, channel: str = ROOM) -> dict[str, Any]:
    await peer.say({"type": "say", "id": number, "channel": channel, "name": name, "data": data})
    return await peer.until(lambda message: message.get("id") == number)


def ids(message: dict[str, Any]) -> list[str]:
    return [member["id"] for member in message["members"]]


def seats(made: Scene) -> list[Any]:
    return list(made.server.house.gathering._seats)


async def heard(peer: Peer, kind: str) -> dict[str, Any]:
    return await peer.until(lambda message: message.get("type") == kind)


async def listening(peer: Peer, made: Scene, kind: str) -> asyncio.Task[dict[str, Any]]:
    """Wait for a message; over a poll the client is there only while one is under way."""
    before = seats(made)
    task = asyncio.ensure_future(heard(peer, kind))
    await eventually(lambda: not isinstance(peer, PollPeer) or any(each not in before for each in seats(made)))
    return task


@live
async def test_members_and_events_are_told(made: Scene, kind: Kind) -> None:
    async with Peer(made.port) as ann, kind(made.port) as bob:
        assert ids(await come(ann, made, "1")) == ["1"]
        roster = await come(bob, made, "2")
        assert (roster["you"], roster["members"]) == (
            "2",
            [{"id": "1", "info": {"name": "user 1"}}, {"id": "2", "info": {"name": "user 2"}}],
        )
        assert (await heard(ann, "joined"))["member"] == {"id": "2", "info": {"name": "user 2"}}
        assert await tell(bob, {"on": True}) == {"type": "taken", "id": 8}
        event = {"type": "event", "channel": ROOM, "name": "typing", "from": "2", "data": {"on": True}}
        assert await ann.hear() == event
        waiting = await listening(bob, made, "event")
        assert (await tell(ann, {"on": False}))["type"] == "taken"
        assert await waiting == {**event, "from": "1", "data": {"on": False}}
        await bob.say({"type": "depart", "id": 9, "channel": ROOM})
        assert await bob.until(lambda message: message.get("id") == 9) == {"type": "departed", "id": 9, "channel": ROOM}
        assert (await ann.hear())["member"] == "2"
        assert "not for others" not in str([*ann.log, *bob.log])


@live
async def test_who_comes_and_goes_is_told(made: Scene, kind: Kind) -> None:
    async with kind(made.port) as ann:
        await come(ann, made, "1")
        async with Peer(made.port) as bob:
            waiting = await listening(ann, made, "joined")
            await come(bob, made, "2")
            assert (await waiting)["member"]["id"] == "2"
        left = await heard(ann, "left")
        assert left["member"] == "2"
        # Its own tab is no news, and what it knows is right.
        assert "members" not in await attend(ann, number=9, tag=left["tag"])


@live
async def test_who_comes_back_in_time_was_never_gone(made: Scene, kind: Kind) -> None:
    made.server.house.gathering._presence._grace = 60.0
    async with Peer(made.port) as ann:
        await come(ann, made, "1")
        async with kind(made.port) as bob:
            tag = (await come(bob, made, "2"))["tag"]
        await eventually(lambda: len(seats(made)) == 1)
        async with kind(made.port) as bob:
            again = await come(bob, made, "2", tag=tag)
            assert (again["tag"], again.get("members")) == (tag, None)
        async with kind(made.port) as bob:
            assert ids(await come(bob, made, "2")) == ["1", "2"]
        await ann.say({"type": "ping"})
        assert [(await ann.hear())["type"] for _ in range(2)] == ["joined", "pong"]


@live
async def test_one_that_loses_its_right_leaves_and_both_sides_are_told(made: Scene, kind: Kind) -> None:
    async with Peer(made.port) as ann, kind(made.port) as bob:
        await come(ann, made, "1")
        await come(bob, made, "2")
        waiting = await listening(bob, made, "leave")
        made.banned.add("2")  # type: ignore[attr-defined]
        await asyncio.to_thread(made.realtime.revoke, "2")
        assert await waiting == {"type": "leave", "channels": [ROOM], "reason": "forbidden"}
        assert (await heard(ann, "left"))["member"] == "2"
        assert (await attend(bob, number=9))["code"] == "forbidden"
        assert (await tell(bob, {"on": True}, number=10))["code"] == "not-attending"


BAD = [
    ("typing", {"on": "perhaps"}, "invalid-event"),
    ("typing", {}, "invalid-event"),
    ("typing", None, "invalid-event"),
    ("typing", {"on": True, "from": "1"}, "invalid-event"),
    ("typing", {"on": "x" * 5000}, "event-too-large"),
    ("shouting", {"on": True}, "unknown-event"),
    ("", {"on": True}, "invalid-field"),
]


@live
async def test_what_is_wrong_is_told_to_its_sender_alone(made: Scene, kind: Kind) -> None:
    async with Peer(made.port) as ann, kind(made.port) as bob, Peer(made.port) as nobody:
        await come(ann, made, "1")
        await come(bob, made, "2")
        for number, (name, data, code) in enumerate(BAD, 20):
            if code == "invalid-field":
                continue  # over HTTP that is refused as a whole, see below
            answer = await tell(bob, data, name, number)
            assert (answer["code"], answer["id"]) == (code, number)
        assert (await tell(bob, {"on": True}, channel="rooms/6", number=30))["code"] == "not-attending"
        assert (await come(nobody, made, None))["code"] == "forbidden"
        assert (await tell(nobody, {"on": True}))["code"] == "not-attending"
        assert (await tell(bob, {"on": True}, number=31))["type"] == "taken"
        await heard(ann, "event")
        assert [message["type"] for message in ann.log] == ["hello", "members", "joined", "event"]


@live
async def test_a_message_without_a_name_is_none(made: Scene) -> None:
    async with Peer(made.port) as ann:
        await come(ann, made, "1")
        await ann.say({"type": "say", "id": 1, "channel": ROOM, "name": "", "data": {}})
        assert (await ann.hear())["code"] == "invalid-field"


@live
async def test_rows_and_commits_go_on_beside_it(made: Scene, kind: Kind) -> None:
    """And whoever only reads rows, as clients from before there were members do, hears nothing of it."""
    made.realtime.channel("projects/{project_id}/talk", presence=Profile)(signed_in)
    async with kind(made.port) as bob, Peer(made.port) as old:
        await old.hello()
        await old.subscribe(PAGES)
        await come(bob, made, "2")
        await bob.subscribe(PAGES, number=3)
        made.write()
        while not bob.commits:
            await bob.hear()
        made.write()
        while len(bob.commits) < 2:
            await bob.hear()
        assert bob.rows[PAGES] == made.rows()
        while len(old.commits) < 2:
            await old.hear()
        assert [message.get("type", "commit") for message in old.log] == ["hello", "subscribed", "commit", "commit"]


@live
async def test_a_poll_waits_where_nothing_is_new(made: Scene) -> None:
    """It is over when somebody comes, and not before: what it attends, and knows, is no news."""
    async with PollPeer(made.port) as ann, Peer(made.port) as bob:
        roster = await come(ann, made, "1")
        waiting = await listening(ann, made, "joined")
        await come(bob, made, "2")
        await waiting
        assert [message["type"] for message in ann.log if message["type"] != "hello"] == ["members", "members", "joined"]
        assert ann.log[-2] == {"type": "members", "id": 0, "channel": ROOM, "tag": roster["tag"], "you": "1"}


@live
async def test_an_identity_will_do_where_nothing_turns_it_into_a_user(scene: Make) -> None:
    class Who(BaseModel):
        id: str

    made = scene(secret=SECRET)
    made.realtime.channel("rooms/{room}", presence=Who)(signed_in)
    async with Peer(made.port) as ann:
        assert (await come(ann, made, "7"))["members"] == [{"id": "7", "info": {"id": "7"}}]


@live
async def test_a_poll_brings_as_many_rooms_as_a_client_may_be_in(made: Scene) -> None:
    hello = {"type": "hello", "token": made.realtime.token("1")}
    subscribe = {"type": "subscribe", "id": 1, "channels": [PAGES]}
    for rooms, others, status, told in [(99, 1, 200, 99), (101, 1, 200, 99), (99, 100, 400, 0), (200, 1, 400, 0)]:
        attends = [{"type": "attend", "id": number, "channel": f"rooms/{number}"} for number in range(rooms)]
        body = json.dumps([hello, subscribe, *attends, *[{"type": "ping"}] * others])
        answer, _, text = await ask(made.port, "/realtime/poll", body)
        messages = json.loads(text)
        assert answer == status
        if status == 400:
            assert messages["code"] == "too-many-messages"
        else:
            kinds = [message["type"] for message in messages]
            assert (kinds.count("members"), kinds.count("subscribed")) == (told, 1)
            assert {message.get("code") for message in messages} <= {None, "too-many-subscriptions"}
