"""The long-poll: when it is answered, with what, and that nothing of it is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from sqla_realtime.commit import Position
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.server.archive import DatabaseArchive
from sqla_realtime.server.doors import ApplicationDoorkeeper
from sqla_realtime.transports.poll import PollHandler
from tests.support.scene import PAGES, Scene, eventually, live
from tests.support.web import Response, ask, request

Make = Callable[..., Scene]
OTHER = "projects/2/pages"
HELLO = {"type": "hello"}


def subscribe(*channels: str, after: Position | str | None = None, number: int = 1) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "subscribe", "id": number, "channels": list(channels)}
    return message if after is None else message | {"after": str(after)}


async def begin(made: Scene, *messages: dict[str, Any]) -> Response:
    return await request(made.port, "/realtime/poll", json.dumps([HELLO, *messages]))


async def poll(made: Scene, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    response = await begin(made, *messages)
    try:
        assert response.status == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        answer: list[dict[str, Any]] = await response.json()
    finally:
        await response.close()
    return answer


def kinds(answer: list[dict[str, Any]]) -> list[str]:
    return [message.get("type", "commit") for message in answer]


@live
async def test_rows_are_news(scene: Make) -> None:
    made = scene()
    answer = await poll(made, subscribe(PAGES, OTHER))
    assert kinds(answer) == ["hello", "subscribed", "subscribed"]
    assert answer[-1]["position"] == str(made.server.hub.position)
    await eventually(lambda: not made.connections)


@live
async def test_without_news_it_waits_and_says_where_it_is(scene: Make) -> None:
    made = scene(poll_wait=0.2)
    position = made.server.hub.position
    loop = asyncio.get_running_loop()
    since = loop.time()
    answer = await poll(made, subscribe(PAGES, after=position))
    assert loop.time() - since >= 0.2
    assert kinds(answer) == ["hello", "subscribed", "ping"]
    assert answer[1]["channels"] == [{"channel": PAGES, "recovered": True}]
    assert answer[2]["position"] == str(position)
    assert kinds(await poll(made)) == ["hello", "ping"]


@live
async def test_a_commit_is_news_at_once(scene: Make) -> None:
    made = scene()
    response = await begin(made, subscribe(PAGES, after=made.server.hub.position))
    await eventually(lambda: any(each.channels for each in made.connections))
    made.write(project=2)  # none for this client
    made.write()
    answer = await response.json()
    assert kinds(answer) == ["hello", "subscribed", "commit"]
    assert answer[-1]["commit"] == str(made.server.hub.position)
    await response.close()


@live
async def test_what_was_missed_is_news_at_once(scene: Make) -> None:
    made = scene()
    position = (await poll(made, subscribe(PAGES)))[-1]["position"]
    for _ in range(3):
        made.write()
    answer = await poll(made, subscribe(PAGES, after=position))
    assert kinds(answer) == ["hello", "subscribed"]
    assert len(answer[1]["commits"]) == 3


@live
async def test_a_refusal_is_news_at_once(scene: Make) -> None:
    made = scene()
    answer = await poll(made, subscribe("vault/1", PAGES, after=made.server.hub.position))
    assert kinds(answer) == ["hello", "error", "subscribed"]
    answer = await poll(made, {"type": "ping"}, HELLO)
    assert "pong" in kinds(answer)
    assert (await poll(made, {"type": "unsubscribe", "id": 1, "channels": [PAGES]}))[1]["type"] == "unsubscribed"


@live
async def test_news_wait_for_all_answers(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """All channels of one answer are at one position, so one is enough for the next poll."""
    made = scene()
    release, original = asyncio.Event(), DatabaseArchive.rows
    loop = asyncio.get_running_loop()

    async def rows(archive: DatabaseArchive, channel: str) -> Any:
        if channel == OTHER:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(release.wait(), loop))
        return await original(archive, channel)

    monkeypatch.setattr(DatabaseArchive, "rows", rows)
    response = await begin(made, subscribe(PAGES, OTHER))
    await eventually(lambda: any(each.channels for each in made.connections))
    made.write()
    made.write()
    release.set()
    answer = await response.json()
    assert kinds(answer) == ["hello", "subscribed", "commit", "commit", "subscribed"]
    assert answer[-1]["position"] == str(made.server.hub.position)
    await response.close()


@live
async def test_patience_does_not_end_before_the_answers_do(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene(poll_wait=0.05)
    original = ApplicationDoorkeeper.admit

    async def admit(doorkeeper: ApplicationDoorkeeper, user: Any, channel: str) -> str:
        await asyncio.sleep(0.3)
        return await original(doorkeeper, user, channel)

    monkeypatch.setattr(ApplicationDoorkeeper, "admit", admit)
    answer = await poll(made, subscribe(PAGES))
    assert "subscribed" in kinds(answer)


@live
async def test_an_own_commit_that_none_of_the_channels_has_is_news(scene: Make) -> None:
    """Whether it is made before the poll that waits for it or meanwhile: with patience alone this test would not end."""
    made = scene(poll_wait=600.0, ping_interval=600.0)
    me, you = ("c-0123456789abcdef", "c-fedcba9876543210")
    hello = {"type": "hello", "connection": me}
    position = made.server.hub.position
    for early in (False, True, False):
        if early:
            commit(made, you)
            mine = commit(made, me)
            await eventually(lambda mine=mine: str(made.server.hub.position) == mine)
        response = await request(made.port, "/realtime/poll", json.dumps([hello, subscribe(PAGES, after=position)]))
        if not early:
            await eventually(lambda: me in made.server.hub._members and len(made.connections) == 1)
            commit(made, you)
            mine = commit(made, me)
        answer = await response.json()
        await response.close()
        assert answer[-1]["position"] == mine
        position = mine
        await eventually(lambda: not made.connections)


def commit(made: Scene, author: str) -> str:
    """A page of another channel's; where the commit is in the log."""
    with made.realtime.origin(author) as told:
        made.write(project=2)
    return str(told.position())


@live
async def test_another_server_goes_on_with_it(scene: Make) -> None:
    """The positions decide, not who handed them out: here a server that has begun anew on the same log."""
    made = scene()
    made.write()
    position = (await poll(made, subscribe(PAGES)))[1]["position"]
    made.write()
    first = await poll(made, subscribe(PAGES, after=position))
    assert first[1]["channels"] == [{"channel": PAGES, "recovered": True}]
    made.realtime.stop()
    made.write()
    made.realtime.start()
    [_, answer] = await poll(made, subscribe(PAGES, after=first[1]["position"]))
    [item] = answer["channels"]
    told = [change["record"]["title"] for commit in answer.get("commits", []) for change in commit["changes"]]
    shown = [row["record"]["title"] for row in item.get("rows", [])]
    assert shown == made.written or told == ["page 2"]


@live
async def test_large_answers_are_not_collected(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is together larger than the queue is written as it comes, and nothing is lost."""
    made = scene(queue_bytes=64 * 1024)
    for _ in range(20):
        made.write(5000)
    original = DatabaseArchive.rows

    async def rows(archive: DatabaseArchive, channel: str) -> Any:
        if channel == OTHER:
            await eventually(lambda: any(each.channels and not each.pending for each in made.connections))
            for _ in range(5):
                made.write(5000)
        return await original(archive, channel)

    monkeypatch.setattr(DatabaseArchive, "rows", rows)
    for _ in range(3):
        answer = await poll(made, subscribe(PAGES, OTHER))
        assert kinds(answer)[:2] == ["hello", "subscribed"]
        assert kinds(answer)[-1] == "subscribed"


@live
async def test_what_comes_after_the_last_word_is_the_next_polls(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, late = scene(), list[bytes]()
    frame = PollHandler.frame

    def busy(handler: PollHandler, messages: list[bytes]) -> bytes:
        data = frame(handler, messages)
        if data.endswith(b"]") and not late:
            late.append(b'{"commit": "of this moment"}')
            handler.conversation.connection.send(late[0])
        return data

    monkeypatch.setattr(PollHandler, "frame", busy)
    assert kinds(await poll(made, subscribe(PAGES))) == ["hello", "subscribed"]
    assert late


@live
async def test_a_kept_connection_serves_one_poll_after_the_other(scene: Make) -> None:
    made = scene()
    made.write()
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    body = json.dumps([HELLO, subscribe(PAGES)]).encode()
    async with asyncio.timeout(20):
        for _ in range(3):
            writer.write(b"POST /realtime/poll HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            response = Response(reader, writer)
            await response.head()
            assert kinds(await response.json()) == ["hello", "subscribed"]
    writer.close()


@live
async def test_a_poll_that_comes_during_a_stop_is_told(scene: Make) -> None:
    made = scene()
    await made.server._lobby.dismiss(CloseCode.RESTARTING)
    status, _, answer = await ask(made.port, "/realtime/poll", json.dumps([HELLO, subscribe(PAGES)]))
    assert (status, kinds(json.loads(answer))) == (200, ["bye"])


@live
@pytest.mark.parametrize("end", ["bye", "needs_auth"])
async def test_what_will_not_be_answered_any_more_is_reset(scene: Make, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Or else the client would go on with it from the position at which the answer ends."""
    made = scene()
    reading, original = asyncio.Event(), DatabaseArchive.rows
    loop = asyncio.get_running_loop()

    async def rows(archive: DatabaseArchive, channel: str) -> Any:
        if channel == OTHER:
            loop.call_soon_threadsafe(reading.set)
            await asyncio.Event().wait()
        return await original(archive, channel)

    monkeypatch.setattr(DatabaseArchive, "rows", rows)
    response = await begin(made, subscribe(PAGES, OTHER))
    await reading.wait()
    await eventually(lambda: any(PAGES in each.channels for each in made.connections))
    made.write()
    runner = made.realtime._runner
    assert runner is not None

    async def stop() -> None:
        await made.server._lobby.dismiss(CloseCode.RESTARTING)

    async def expire() -> None:
        for each in made.server._lobby.conversations:
            each._rights._end()

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(stop() if end == "bye" else expire(), runner._loop))
    answer = await response.json()
    assert kinds(answer)[:5] == ["hello", "subscribed", "commit", "reset", end]
    assert answer[3] == {"type": "reset", "channels": [OTHER], "reason": "behind"}
    await response.close()
