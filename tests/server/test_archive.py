"""Rows: a limit of their number and time, and an application's mistakes that stay its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from sqla_realtime import Realtime
from tests.server.test_doors import opened
from tests.support.models import Page, PageOut, Project
from tests.support.peer import Peer
from tests.support.scene import PAGES, Ear, Scene, live

Make = Callable[..., Scene]


class ProjectOut(BaseModel):
    id: int
    name: str


@live
async def test_rows_that_can_not_be_read_any_more_are_asked_for_again(scene: Make, ear: Ear) -> None:
    made = scene()
    made.server._readers.close()
    async with Peer(made.port) as peer:
        await peer.hello()
        assert (await peer.subscribe(PAGES))["code"] == "snapshot-failed"


@live
async def test_a_channel_can_be_too_large(scene: Make) -> None:
    made = scene(snapshot_rows=3)
    for _ in range(3):
        made.write()
    async with Peer(made.port) as peer:
        await peer.hello()
        assert len((await peer.subscribe(PAGES))["channels"][0]["rows"]) == 3
        made.write()
        await peer.until(lambda message: "commit" in message)
        answer = await peer.subscribe(PAGES, number=2)
        assert (answer["code"], answer["channel"], answer["id"]) == ("snapshot-too-large", PAGES, 2)
        assert "3 rows" in answer["message"]
        assert (await peer.subscribe("projects/2/pages", number=3))["type"] == "subscribed"


@live
async def test_a_failing_select_is_told_and_others_go_on(scene: Make, ear: Ear, sqlite: Engine) -> None:
    made = scene(development=False)
    with sqlite.begin() as connection:
        connection.execute(text("ALTER TABLE account RENAME TO money"))
    made.realtime.channel("banks/{bank}")(lambda user, bank: True)
    async with made.canary(), Peer(made.port) as peer:
        await peer.hello()
        answer = await peer.subscribe("banks/1")
        assert answer == {
            "type": "error", "code": "snapshot-failed", "message": "The rows could not be read now; try again.",
            "channel": "banks/1", "id": 1,
        }  # fmt: skip
        with sqlite.begin() as connection:
            connection.execute(text("ALTER TABLE money RENAME TO account"))
        assert (await peer.subscribe("banks/1", number=2))["type"] == "subscribed"
    assert "[snapshot-failed]" in ear.text
    ear.tracebacks = ear.text.count("Traceback (most")


@live
async def test_no_channel_name_makes_a_select_fail(ear: Ear, engine: Engine, realtime: Callable[..., Realtime]) -> None:
    """Numbers and texts that no column holds are of no channel, or of one without rows. The log stays empty."""
    made = Scene(realtime(), engine)
    made.realtime.publish(Project, schema=ProjectOut, channel="names/{name}", join=lambda user, name: True)
    made.realtime.start()
    numbers = [2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 2**63, 10**200]
    texts = ["%00", "a%00b", "%F0%9F%98%80", "%C2%A0", "%EF%BF%BD", "%27%3B--", "x" * 249, "%5C", "%ED%A0%80", "%FF", ""]
    async with made.canary(), Peer(made.port) as peer:
        await peer.hello()
        names = [f"projects/{number}/pages" for number in numbers] + [f"names/{text}" for text in texts]
        outcomes = []
        for number, name in enumerate(names):
            answer = await peer.subscribe(name, number=number)
            outcomes.append(answer.get("code") or len(answer["channels"][0]["rows"]))
        assert outcomes == [0, 0, 0, 0, *["forbidden"] * 4, 0, 0, 0, 0, 0, 0, "forbidden", "forbidden", 2]
    assert "ERROR" not in ear.text


def test_without_a_bind_the_log_says_what_to_type(ear: Ear, realtime: Callable[..., Realtime], sqlite: Engine) -> None:
    made = realtime(development=False)
    made.publish(Page, schema=PageOut, channel="pages", join=lambda user: True)

    class Own(Session):
        pass

    made.enable(Own)
    made.start()

    @live
    async def story() -> None:
        async with Peer(made.port) as peer:
            await peer.hello()
            assert (await peer.subscribe("pages"))["code"] == "snapshot-failed"
            made.enable(Own, bind=sqlite)
            assert (await peer.subscribe("pages", number=2))["type"] == "subscribed"

    story()
    assert "enable(Session, bind=engine). [no-bind]" in ear.text


@live
async def test_a_slow_select_keeps_nobody_else_waiting(scene: Make, sqlite: Engine) -> None:
    made = scene()
    made.write()
    gate, inside = threading.Event(), threading.Semaphore(0)

    @event.listens_for(sqlite, "before_cursor_execute")
    def hold(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if threading.current_thread().name.startswith("realtime-snapshot") and "project_id = ?" in statement:
            inside.release()
            gate.wait(30)

    async with Peer(made.port) as peer:
        await peer.hello()
        with opened(gate):
            await peer.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
            await asyncio.to_thread(inside.acquire)
            made.write()
            async with Peer(made.port) as other:
                await other.hello()
                await other.say({"type": "ping"})
                assert (await other.hear())["type"] == "pong"
        answer = await peer.hear()
        assert [row["record"]["title"] for row in answer["channels"][0]["rows"]] == made.written


@live
async def test_a_channel_without_rows_has_none(scene: Make) -> None:
    made = scene()
    made.realtime.channel("rooms/{room}", events={"note": ProjectOut})(lambda user, room: True)
    made.realtime.channel("quiet")(lambda user: True)
    async with Peer(made.port) as peer:
        await peer.hello()
        answer = await peer.subscribe("rooms/1")
        assert answer["channels"] == [{"channel": "rooms/1", "rows": []}]
        assert (await peer.subscribe("rooms/1", after=answer["position"], number=2))["channels"][0]["recovered"]
        assert (await peer.subscribe("quiet", number=3))["code"] == "forbidden"
