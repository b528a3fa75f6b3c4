"""Commands over POST: delivered to the stream that they are for, all of them or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.carriers import EventsPeer
from tests.support.peer import Peer
from tests.support.scene import PAGES, Scene, live
from tests.support.web import ask

Make = Callable[..., Scene]
PING = {"type": "ping"}


async def send(made: Scene, connection: str, *messages: dict[str, Any]) -> tuple[int, str | None]:
    body = json.dumps({"connection": connection, "messages": messages})
    status, _, answer = await ask(made.port, "/realtime/send", body)
    return status, json.loads(answer)["code"] if answer else None


@live
async def test_the_answers_come_on_the_stream_in_the_order_of_the_questions(scene: Make) -> None:
    made = scene()
    async with EventsPeer(made.port) as peer:
        await peer.hello()
        subscribe = {"type": "subscribe", "id": 5, "channels": [PAGES]}
        assert await send(made, peer.connection, PING, subscribe, {"type": "hello"}) == (204, None)
        assert await peer.hear() == {"type": "pong"}
        assert {(await peer.hear()).get("code"), (await peer.hear()).get("code")} == {None, "hello-twice"}
        assert PAGES in peer.rows
        assert await send(made, peer.connection) == (204, None)


@live
async def test_an_unknown_connection(scene: Make) -> None:
    made = scene()
    async with EventsPeer(made.port) as peer, Peer(made.port) as other:
        await peer.hello()
        socket = (await other.hello())["connection"]
        # Nobody's; one on a WebSocket, which speaks for itself; and one that is no longer there.
        for connection in ("c-" + "x" * 16, socket, peer.connection):
            if connection == peer.connection:
                await peer.cut()
                while len(made.connections) > 1:
                    await other.say({"type": "ping"})
                    await other.hear()
            assert await send(made, connection, PING) == (404, "unknown-connection")


@live
async def test_all_are_delivered_or_none(scene: Make) -> None:
    made = scene()
    async with EventsPeer(made.port) as peer:
        await peer.hello()
        assert await send(made, peer.connection, PING, {"type": "nonsense"}) == (400, "unknown-message")
        other = {"type": "hello", "connection": "c-" + "y" * 16}
        assert await send(made, peer.connection, PING, other) == (400, "invalid-field")
        for body in (
            "[]",
            "{}",
            json.dumps({"connection": peer.connection}),
            '{"messages": []}',
            '{"connection": 5, "messages": []}',
        ):
            assert (await ask(made.port, "/realtime/send", body))[0] == 400
        assert await send(made, peer.connection, {"type": "unsubscribe", "id": 1, "channels": [PAGES]}) == (204, None)
        assert (await peer.hear())["type"] == "unsubscribed"


@live
async def test_a_token_that_did_not_hold_may_be_replaced(scene: Make) -> None:
    made = scene(secret="s" * 40)
    async with EventsPeer(made.port) as peer:
        assert (await peer.hello("nonsense"))["code"] == "bad-token"
        hello = {"type": "hello", "token": made.realtime.token(1)}
        assert await send(made, peer.connection, hello) == (204, None)
        assert (await peer.hear())["connection"] == peer.connection
        assert (await peer.subscribe("members/1"))["type"] == "subscribed"


@live
async def test_whoever_commands_faster_than_it_is_answered_is_closed(scene: Make) -> None:
    made = scene(max_messages=1000, message_burst=1000)
    async with made.canary(), EventsPeer(made.port) as peer:
        await peer.hello()
        flood = [{"type": "subscribe", "id": number, "channels": [f"projects/{number}/pages"]} for number in range(600)]
        assert await send(made, peer.connection, *flood) == (204, None)
        assert (await peer.until(lambda heard: heard.get("type") == "bye"))["code"] == 4400
