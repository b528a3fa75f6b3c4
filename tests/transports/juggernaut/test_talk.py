"""What Juggernaut's clients can't ask for: it is asked for them, so that a page that was wrong is made right again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Row
from sqla_realtime.server.archive import DatabaseArchive
from sqla_realtime.transports import again
from tests.support.scene import live
from tests.support.socketio import NO_SESSION, UNAUTHORIZED, Site, peer, poller, subscribe

Make = Callable[..., Site]


@live
async def test_rows_that_can_not_be_told_one_by_one_are_told_all(site: Make) -> None:
    made = site()
    made.write("one")
    async with peer(made.port, "/observer", "/projects/1") as client:
        assert await client.hear(4) == ["create one", "update one"] * 2
        await asyncio.to_thread(made.doubt)
        assert await client.hear(4) == ["create one", "update one"] * 2
        await asyncio.to_thread(made.write, "two")
        assert await client.hear(2) == ["create two"] * 2


@live
async def test_who_comes_back_is_told_what_is_gone_and_what_is_there(site: Make) -> None:
    made = site()
    made.write("one", "two")
    async with peer(made.port, "/observer") as client:
        assert len(await client.hear(4)) == 4
    await asyncio.to_thread(made.remove, "one")
    await asyncio.to_thread(made.rename, "two", "zwei")
    back = await poller(made.port, "/observer")
    assert await back.poll() == ["destroy 1", "create zwei", "update zwei"]


@live
async def test_rows_that_can_not_be_read_are_read_again(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "AGAIN", 0.01)
    read, failures = DatabaseArchive.rows, [Refused(ErrorCode.SNAPSHOT_FAILED, "")] * 2

    async def rows(self: DatabaseArchive, channel: str) -> Sequence[Row]:
        if failures:
            raise failures.pop()
        return await read(self, channel)

    monkeypatch.setattr(DatabaseArchive, "rows", rows)
    made = site()
    made.write("one")
    async with peer(made.port, "/observer") as client:
        assert await client.hear(4) == [UNAUTHORIZED, UNAUTHORIZED, "create one", "update one"]


@live
async def test_more_rows_than_may_be_read_are_refused(site: Make) -> None:
    made = site(snapshot_rows=1)
    made.write("one", "two")
    async with peer(made.port, "/observer") as client:
        assert await client.hear() == [UNAUTHORIZED]


@live
async def test_a_right_that_is_lost_ends_what_is_sent(site: Make) -> None:
    made = site()
    rights: list[bool] = [True]
    made.allow = lambda: rights[-1]
    async with peer(made.port, "/club", "/observer") as client:
        await made.joined(client.session, "club", "pages")
        await asyncio.to_thread(made.write, "one")
        assert await client.hear(2) == ["create one"] * 2
        rights.append(False)
        await asyncio.to_thread(made.realtime.recheck, channel="club")
        await client.say(subscribe("/nothing"))
        assert await client.hear() == [UNAUTHORIZED]
        await asyncio.to_thread(made.write, "two")
        assert await client.hear() == ["create two"]
        await client.say(subscribe("/nothing"))
        assert await client.hear() == [UNAUTHORIZED]


@live
async def test_who_reads_too_slowly_has_to_come_back(site: Make) -> None:
    made = site(queue_bytes=2000)
    client = await poller(made.port, "/observer")
    await made.joined(client.session, "pages")
    await asyncio.to_thread(made.write, "one")
    assert await client.poll() == ["create one"]
    for _ in range(4):
        await asyncio.to_thread(made.write, "x" * 1000)
    assert await client.poll() == [NO_SESSION]
