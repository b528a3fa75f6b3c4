"""Unmodified pusher-js on a WebSocket hears commits, comes back, and is told by close codes what it understands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sqla_realtime import Realtime, anyone, signed_in
from sqla_realtime.protocol.codes import CloseCode
from tests.support.models import Account, AccountOut, Page, PageOut, Project
from tests.support.node_pusher import Node
from tests.support.processes import free_ports
from tests.support.pusher_peer import PusherPeer
from tests.support.scene import Ear, Scene, live
from tests.support.wire import Wire
from tests.transports.test_link import ending_of_silence

Make = Callable[..., Scene]
APP = {"key": "app-key", "secret": "a secret of the application", "id": "1", "client_events": True}
SUBSCRIBE = """
var pusher = new Pusher("app-key", options(%d))
pusher.connection.bind("state_change", ({current}) => say(current, pusher.connection.socket_id))
var pages = pusher.subscribe("projects,1,pages")
pages.bind_global((name, data) => say(name, data))
"""
# As docs/pusher.md advises.
BACK = """
var hasty = new Pusher("app-key", {...options(%d), unavailableTimeout: 300})
hasty.connection.bind("state_change", ({current}) => say("hasty", current))
hasty.connection.bind("connecting_in", seconds => say("hasty", seconds))
hasty.connection.bind("unavailable", () => { hasty.disconnect(); hasty.connect() })
"""
OTHER = """
pusher.unsubscribe("projects,1,pages")
var other = pusher.subscribe("projects,2,pages")
other.bind("create", data => say("other", data))
other.bind("pusher:subscription_succeeded", () => say("in"))
"""


def dismiss(made: Scene) -> None:
    """Say to everybody what a server says that is restarted; this one stays, so nobody has to wait for it."""
    runner = made.realtime._runner
    assert runner is not None

    async def dismiss() -> None:
        for connection in made.connections:
            connection.close(CloseCode.RESTARTING)

    asyncio.run_coroutine_threadsafe(dismiss(), runner._loop).result(20)


def test_pusher_js_hears_commits_and_comes_back(scene: Make) -> None:
    made = scene(pusher=[APP])
    with Node() as node:
        node.run(SUBSCRIBE % made.port)
        node.until("pusher:subscription_succeeded")
        made.write()
        data = node.until("create")[1]
        assert (data["class"], data["id"], data["record"]["title"]) == ("Page", "1", "page 0")
        made.doubt()
        assert node.until("reset")[1] == {"reason": "invalidated"}
        dismiss(made)
        node.until("connecting")
        node.until("pusher:subscription_succeeded")
        made.write()
        assert node.until("create")[1]["id"] == "2"
        node.run(OTHER)
        node.until("in")
        made.write()
        made.write(project=2)
        node.until("other")
        assert [words[0] for words in node.words].count("create") == 2


def test_pusher_js_comes_back_when_the_server_does(scene: Make) -> None:
    made = scene(pusher=[APP], port=free_ports(1)[0])
    with Node() as node:
        node.run(BACK % made.port)
        node.until(lambda words: words == ["hasty", "connected"])
        made.realtime.stop()
        # Not at once: what finds no server keeps it waiting for fifteen seconds.
        node.until(lambda words: words == ["hasty", 1])
        node.until(lambda words: words == ["hasty", "unavailable"])
        made.realtime.start()
        node.until(lambda words: words == ["hasty", "connected"])


# A handler as in Spine's guide, on Pusher.
OBSERVER = """
var guide = new Pusher("app-key", options(%d))
for (const channel of ["observer", "members"])
    guide.subscribe(channel).bind("pusher:subscription_error", ({status}) => say("refused", channel, status))
guide.channel("observer").bind("pusher:subscription_succeeded", () => say("observes"))
for (const type of ["create", "update", "destroy"])
    guide.channel("observer").bind(type, ({id, class: name, record}) => say(type, name, id, record))
"""


@pytest.mark.parametrize("alias", ["observer", "/observer"])
def test_an_alias_is_a_channel(realtime: Callable[..., Realtime], sqlite: Engine, alias: str) -> None:
    made = realtime(pusher=[APP])
    made.publish(Page, schema=PageOut, channel="pages", join=anyone, alias=alias)
    made.publish(Account, schema=AccountOut, channel="pages")
    made.publish(Account, schema=AccountOut, channel="accounts", join=anyone, alias="members")
    made.publish(Page, schema=PageOut, channel="club", join=signed_in, alias="members")
    sessions = sessionmaker(sqlite)
    made.enable(sessions)
    made.start()
    with Node() as node:
        node.run(OBSERVER % made.port)
        node.until("observes")
        assert node.until("refused")[1:] == ["members", 403], "one of its channels is not for anyone"
        with sessions.begin() as session:
            session.add_all([Project(id=1), Account(id=1, balance=1), Page(id=7, project_id=1, title="one")])
        with sessions.begin() as session:
            session.delete(session.get_one(Page, 7))
        assert node.until("create")[1:3] == ["Page", "7"], "a class without the alias came by it"
        assert node.until("destroy")[1:3] == ["Page", "7"]


async def closed(port: int, path: str) -> tuple[list[Any], int, str]:
    """What is said to a client until it is closed."""
    said = []
    async with connect(f"ws://127.0.0.1:{port}{path}") as socket:
        try:
            while True:
                said.append(json.loads(await socket.recv()))
        except ConnectionClosed:
            return said, socket.close_code or 0, socket.close_reason or ""


@live
async def test_refusals_are_close_codes(scene: Make) -> None:
    made = scene(pusher=[APP])
    for path, code, reason in [
        ("/app/other?protocol=7", 4001, "unknown-app"),
        ("/app/app-key", 4008, "no-protocol"),
        ("/app/app-key?protocol=seven", 4006, "bad-version"),
        ("/app/app-key?protocol=3", 4007, "unsupported-protocol"),
        ("/app/app-key?protocol=7&protocol=%ff", 4006, "bad-version"),
    ]:
        error = {"event": "pusher:error", "data": {"code": code, "message": reason}}
        assert await closed(made.port, path) == ([error], code, reason)


@live
async def test_a_restart_is_a_close_code_too(scene: Make) -> None:
    made = scene(pusher=[APP])
    async with connect(f"ws://127.0.0.1:{made.port}/app/app-key?protocol=7") as socket:
        await socket.recv()
        await asyncio.to_thread(made.realtime.stop)
        await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (4101, "restarting")


@live
async def test_who_answers_no_ping_is_closed(scene: Make) -> None:
    """The library under it may still answer those of WebSockets."""
    made = scene(pusher=[APP], ping_interval=0.2)
    said, code, reason = await closed(made.port, "/app/app-key?protocol=7")
    assert {each["event"] for each in said} == {"pusher:connection_established", "pusher:ping"}
    assert (code, reason) == (4201, "pong-missing")


@live
async def test_who_answers_no_ping_of_a_websocket_is_told_the_same(scene: Make) -> None:
    made = scene(pusher=[APP], ping_interval=0.2)
    with Wire(made.port) as wire:
        assert wire.ask("/app/app-key?protocol=7", Sec_WebSocket_Protocol=None).status == 101
        assert ending_of_silence(wire) == (4201, b"pong-missing")


def said(event: str, data: dict[str, str], **more: str) -> str:
    return json.dumps({"event": event, "data": data, **more})


def join(channel: str, **signed: str) -> str:
    return said("pusher:subscribe", {"channel": channel, **signed})


FORGED, MEMBER = "app-key:" + "0" * 64, json.dumps({"user_id": "7"})
REFUSED, ERROR = "pusher:subscription_error", "pusher:error"
BAD: list[tuple[str, str | None, int | None, int | None]] = [
    # Nobody learns from an answer whether there is such a channel.
    *((join(name), REFUSED, 403, None) for name in ("a/b", "nowhere", "members", "private-members", "#server-to-user-7", "#x")),
    (join("private-members", auth=FORGED), REFUSED, 403, None),
    (join("private-members", auth="other:" + "0" * 64), REFUSED, 403, None),
    (join("presence-members", auth=FORGED, channel_data=MEMBER), REFUSED, 403, None),
    (join("x" * 201), ERROR, None, None),
    (said("client-x", {}, channel="news"), ERROR, 4009, None),
    (said("client-x", {}, channel="private-members"), ERROR, 4009, None),
    (said("client-x", {"a": "x" * 10_500}, channel="news"), ERROR, None, None),
    (said("client-x", {"a": "x" * 16_500}, channel="news"), None, None, 1009),
    (said("pusher:signin", {"auth": FORGED, "user_data": '{"id": "7"}'}), ERROR, 4009, 4009),
    (said("pusher_internal:member_added", {}), ERROR, None, None),
    ("{", ERROR, None, None),
]


@live
async def test_bad_input_has_its_error_and_costs_nobody_else_anything(scene: Make, ear: Ear) -> None:
    made = scene(pusher=[APP])
    made.realtime.channel("members")(signed_in)
    made.realtime.channel("news")(anyone)
    url = f"ws://127.0.0.1:{made.port}/app/app-key?protocol=7"
    ear.secrets += [FORGED, "x" * 200]
    async with PusherPeer(made.port, APP, "7") as innocent:
        await innocent.join("projects,1,pages")
        for message, event, code, ended in BAD:
            async with connect(url) as socket:
                await socket.recv()
                await socket.send(message)
                answers = []
                with suppress(ConnectionClosed):
                    await socket.send(said("pusher:ping", {}))
                    while not answers or answers[-1]["event"] != "pusher:pong":
                        answers.append(json.loads(await socket.recv()))
                answers = [each for each in answers if each["event"] != "pusher:pong"]
            assert [each["event"] for each in answers] == ([] if event is None else [event]), message[:80]
            for each in answers:
                data = json.loads(each["data"]) if isinstance(each["data"], str) else each["data"]
                assert data.get("code", data.get("status")) == code, message[:80]
            assert socket.close_code == (ended or 1000), message[:80]
        await asyncio.to_thread(made.write)
        await innocent.until("create")
        assert [event for event, _, _ in innocent.heard] == [
            "pusher:connection_established", "pusher_internal:subscription_succeeded", "create"
        ]  # fmt: skip


@live
async def test_one_too_many_is_told_to_come_back_later(scene: Make) -> None:
    made = scene(pusher=[APP], connections=1)
    async with connect(f"ws://127.0.0.1:{made.port}/app/app-key?protocol=7") as socket:
        assert json.loads(await socket.recv())["event"] == "pusher:connection_established"
        assert await closed(made.port, "/app/app-key?protocol=7") == ([], 4100, "over-capacity")


@live
async def test_the_gate_is_the_same(scene: Make) -> None:
    made = scene(pusher=[APP], development=False)
    with pytest.raises(InvalidStatus) as caught:
        await connect(
            f"ws://127.0.0.1:{made.port}/app/app-key?protocol=7", additional_headers={"Origin": "http://evil.example"}
        )
    assert caught.value.response.status_code == 403
