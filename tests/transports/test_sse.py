"""Server-sent events as a plain EventSource sees them: what each event is called, and what it comes back with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from sqla_realtime.hub.doors import Handshake, Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.server.archive import DatabaseArchive
from sqla_realtime.server.doors import ApplicationDoorkeeper
from sqla_realtime.server.tokens import Identity
from sqla_realtime.transports import again
from tests.support.carriers import EventsPeer
from tests.support.scene import PAGES, Scene, live
from tests.support.web import Response, ask, request

Make = Callable[..., Scene]
OTHER = "projects/2/pages"


class Source:
    """An EventSource, as the HTML standard (9.2.6) reads a stream: ``last`` is its last event id, kept over reconnects."""

    def __init__(self, port: int, *channels: str, **headers: str) -> None:
        self._url = "/realtime/sse?" + "&".join(f"channel={channel}" for channel in channels)
        self._port = port
        self._headers = headers
        self._data = b""
        self.last = ""
        self.retry = 0
        self.response: Response

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Source]:
        headers = self._headers | ({"Last_Event_ID": self.last} if self.last else {})
        self.response = await request(self._port, self._url, **headers)
        self._data = b""
        try:
            yield self
        finally:
            await self.response.close()

    async def hear(self) -> dict[str, Any]:
        """The next event's message, and what it does to the last event id."""
        while b"\n\n" not in self._data:
            piece = await self.response.piece()
            if not piece:
                raise EOFError
            self._data += piece
        event, _, self._data = self._data.partition(b"\n\n")
        data = b""
        for line in event.split(b"\n"):
            field, _, value = line.partition(b": ")
            match field:
                case b"data":
                    data += value
                case b"id":
                    self.last = value.decode()
                case b"retry":
                    self.retry = int(value)
        message: dict[str, Any] = json.loads(data)
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            message = await self.hear()
            if message.get("type", "commit") == kind:
                return message


def head(made: Scene) -> str:
    return str(made.server.hub.position)


# The stream.


@live
async def test_what_a_stream_is(scene: Make) -> None:
    made = scene()
    async with Source(made.port, PAGES).connected() as source:
        headers = source.response.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        hello = await source.hear()
        assert (hello["type"], source.last) == ("hello", "")
        assert 1000 <= source.retry <= 3000
        assert (await source.hear())["channels"] == [{"channel": PAGES, "rows": []}]


@live
async def test_a_url_names_the_channels(scene: Make) -> None:
    made = scene()
    async with made.canary():
        for query, code in [
            ("", "invalid-field"), ("?channel=", "invalid-field"), ("?chanel=a", "invalid-field"),
            ("?channel=%C3%A9", "invalid-field"), ("?channel=%ff", "invalid-field"), ("?channel=" + "x" * 256, "invalid-field"),
            ("?" + "&".join(f"channel={number}" for number in range(101)), "invalid-field"),
        ]:  # fmt: skip
            status, _, answer = await ask(made.port, "/realtime/sse" + query)
            assert (status, json.loads(answer)["code"]) == (400, code)
        # Twice is once, and what is not understood is for others.
        async with Source(made.port, PAGES, PAGES + "&_=17").connected() as source:
            await source.until("subscribed")
            made.write()
            assert len((await source.until("commit"))["changes"]) == 1


@live
async def test_http_1_0_gets_a_stream_without_chunks(scene: Make) -> None:
    made = scene()
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    writer.write(b"GET /realtime/sse?channel=projects/1/pages HTTP/1.0\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(20):
        answered = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in answered.lower()
        assert (await reader.readline()).startswith(b"retry: ")
        await asyncio.to_thread(made.realtime.stop)
        assert b'"restarting"' in await reader.read()
    writer.close()


# The last event id.


@live
async def test_whoever_comes_back_misses_nothing(scene: Make) -> None:
    made = scene()
    source = Source(made.port, PAGES, OTHER)
    async with source.connected():
        while source.last == "":
            await source.hear()
        for project in (1, 2, 1):
            made.write(project=project)
            position = (await source.until("commit"))["commit"]
            assert source.last == position
    made.write()
    made.write(project=2)
    async with source.connected():
        answer = await source.until("subscribed")
        assert answer["channels"] == [{"channel": PAGES, "recovered": True}, {"channel": OTHER, "recovered": True}]
        assert len(answer["commits"]) == 2
        assert source.last == answer["position"] == head(made)


@live
async def test_no_event_claims_what_comes_after_it(scene: Make) -> None:
    """Several commits that leave in one write: whoever is cut within it comes back with a position that it has reached."""
    made = scene()
    runner = made.realtime._runner
    assert runner is not None

    async def burst() -> None:
        for _ in range(5):
            made.write()  # the server's own loop stands still meanwhile

    async with Source(made.port, PAGES).connected() as source:
        await source.until("subscribed")
        for _ in range(3):
            asyncio.run_coroutine_threadsafe(burst(), runner._loop)
            for _ in range(5):
                position = (await source.until("commit"))["commit"]
                assert int(source.last.rpartition(".")[2]) <= int(position.rpartition(".")[2])
            assert source.last == position == head(made)


@live
async def test_a_ping_moves_the_id_on(scene: Make) -> None:
    made = scene(ping_interval=0.2)
    async with Source(made.port, PAGES).connected() as source:
        await source.until("subscribed")
        made.write(project=2)
        while (await source.until("ping"))["position"] != head(made):
            pass
        assert source.last == head(made)


@live
async def test_there_is_no_id_before_all_are_answered(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the channel that had no answer would be resumed from where it has never been."""
    made = scene()
    made.write()
    release, original = asyncio.Event(), DatabaseArchive.rows
    loop = asyncio.get_running_loop()

    async def rows(archive: DatabaseArchive, channel: str) -> Any:
        if channel == OTHER:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(release.wait(), loop))
        return await original(archive, channel)

    monkeypatch.setattr(DatabaseArchive, "rows", rows)
    source = Source(made.port, PAGES, OTHER)
    async with source.connected():
        await source.until("subscribed")
        made.write()
        await source.until("commit")
        assert source.last == ""
    async with source.connected():  # so it gets all of both
        assert "rows" in (await source.until("subscribed"))["channels"][0]
        made.write()
        await source.until("commit")
        release.set()
        await source.until("subscribed")
        assert source.last == head(made)


@live
async def test_a_reset_is_followed_by_rows(scene: Make) -> None:
    made = scene()
    source = Source(made.port, PAGES)
    async with source.connected():
        await source.until("subscribed")
        for _ in range(3):
            made.write()
            await source.until("commit")
            before = source.last
            made.doubt()
            assert await source.hear() == {"type": "reset", "channels": [PAGES], "reason": "invalidated"}
            assert source.last == before, "the rows of before are still there, and it is resumed from them"
            rows = (await source.hear())["channels"][0]["rows"]
            assert [row["record"] for row in rows] == list(made.rows().values())
            assert source.last == head(made)


@live
async def test_whoever_is_cut_between_reset_and_rows_gets_rows(scene: Make) -> None:
    made = scene()
    source = Source(made.port, PAGES, OTHER)
    async with source.connected():
        while source.last == "":
            await source.hear()
    made.write()
    made.doubt()
    async with source.connected():
        seen = {}
        while len(seen) < 2:
            for item in (await source.until("subscribed"))["channels"]:
                seen[item["channel"]] = item
        assert len(seen[PAGES]["rows"]) == 1


@live
async def test_a_refusal_takes_the_id_back(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has dropped the refused channel's rows. Were it resumed when the channel is allowed again, it would get
    what has changed since, and not the rows."""
    made = scene()
    closed: set[str] = set()
    original = ApplicationDoorkeeper.admit

    async def admit(doorkeeper: ApplicationDoorkeeper, user: Any, channel: str) -> str:
        if channel in closed:
            raise Refused(ErrorCode.FORBIDDEN, "no")
        return await original(doorkeeper, user, channel)

    monkeypatch.setattr(ApplicationDoorkeeper, "admit", admit)
    source = Source(made.port, PAGES, OTHER)
    async with source.connected():
        while source.last == "":
            await source.hear()
    closed.add(OTHER)
    async with source.connected():
        while source.last:
            await source.hear()
        made.write()
        assert "commit" in await source.until("commit"), "the other channel is live"
        assert source.last == ""
    closed.clear()
    async with source.connected():
        seen = {}
        while len(seen) < 2:
            for item in (await source.until("subscribed"))["channels"]:
                seen[item["channel"]] = item
        assert all("rows" in item for item in seen.values())
        assert source.last == head(made)


@live
async def test_an_unresumable_id_is_answered_with_rows(scene: Make) -> None:
    made = scene(history_count=2)
    for _ in range(5):
        made.write()
    epoch = made.server.hub.position.epoch
    for last in (
        "x.1",
        f"{epoch}.1",
        f"{epoch}.999",
        f"{epoch}.-1",
        f"{epoch}.{2**53 - 1}",
        f"{epoch}." + "9" * 99,
        "nonsense",
        ".",
    ):
        source = Source(made.port, PAGES)
        source.last = last
        async with source.connected():
            assert len((await source.until("subscribed"))["channels"][0]["rows"]) == 5
            assert source.last == head(made)


@live
async def test_rows_that_could_not_be_read_are_asked_for_again(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene()
    original = DatabaseArchive.rows
    failures = 2
    monkeypatch.setattr(again, "AGAIN", 0.05)

    async def rows(archive: DatabaseArchive, channel: str) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise Refused(ErrorCode.SNAPSHOT_FAILED, "not now")
        return await original(archive, channel)

    monkeypatch.setattr(DatabaseArchive, "rows", rows)
    async with Source(made.port, PAGES).connected() as source:
        for _ in range(2):
            assert (await source.until("error"))["code"] == "snapshot-failed"
            assert source.last == ""
        await source.until("subscribed")
        assert source.last == head(made)


# Who it is.


@live
async def test_the_cookie_says_who_it_is(scene: Make) -> None:
    made = scene()

    def who(handshake: Handshake) -> Identity | None:
        return Identity(handshake.headers["cookie"], {}) if "cookie" in handshake.headers else None

    made.realtime.configure({}, session_cookie=who)
    made.realtime.stop()
    made.realtime.start()
    async with Source(made.port, "members/1", Cookie="session=abc").connected() as source:
        assert (await source.until("subscribed"))["channels"][0]["channel"] == "members/1"
    async with Source(made.port, "members/1").connected() as source:
        assert (await source.until("error"))["code"] == "forbidden"


# For fetch.


@live
async def test_a_posted_stream_has_no_ids(scene: Make) -> None:
    """Its client has the positions in the messages, and joins and leaves channels as it likes."""
    made = scene()
    body = [{"type": "hello"}, {"type": "subscribe", "id": 1, "channels": [PAGES]}]
    response = await request(made.port, "/realtime/sse", json.dumps(body), Content_Type="application/json")
    data = b""
    while b"subscribed" not in data:
        data += await response.piece()
    made.write()
    while b"commit" not in data:
        data += await response.piece()
    assert b"\nid" not in data
    await response.close()


@live
async def test_a_posted_stream_takes_over_from_one_that_is_dead_already(scene: Make) -> None:
    made = scene()
    async with EventsPeer(made.port) as early, EventsPeer(made.port) as late:
        await early.hello()
        late.connection = early.connection
        assert (await late.hello())["connection"] == early.connection
        assert (await late.subscribe(PAGES))["type"] == "subscribed"
        await early.cut()
        await late.say({"type": "ping"})
        assert await late.hear() == {"type": "pong"}


@live
async def test_an_event_source_is_told_by_retry_when_to_come_back(scene: Make) -> None:
    """It does not read the goodbye."""
    made = scene(restart_window=1000)
    async with AsyncExitStack() as stack:
        sources = [await stack.enter_async_context(Source(made.port, PAGES).connected()) for _ in range(5)]
        for source in sources:
            await source.until("subscribed")
        await asyncio.to_thread(made.realtime.stop, 10)
        for source in sources:
            said = await source.until("bye")
            assert source.retry == said["retry_after_ms"]
        assert len({source.retry for source in sources}) > 1


@live
async def test_an_event_source_is_sent_away_in_a_way_that_it_comes_back_from(scene: Make) -> None:
    """At any status but 200 it would give up for good."""
    made = scene(connections=1)
    async with made.canary(), Source(made.port, PAGES).connected() as source:
        said = await source.until("bye")
        assert (source.response.status, said["code"], source.retry) == (200, 4504, said["retry_after_ms"])
