"""A server comes back and all its clients at once: the rows that they share are read once or twice, never more at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from sqla_realtime.schema.registry import Channel
from sqla_realtime.server.archive import DatabaseArchive
from tests.support.carriers import KINDS
from tests.support.models import Page
from tests.support.peer import Peer
from tests.support.scene import PAGES, Scene, eventually, live

Make = Callable[..., Scene]
CHANNELS = [f"projects/{number}/pages" for number in (1, 2, 3)]
CLIENTS = 200


class Reads:
    """Counts the reads of the database, and how many run at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lasting: float = 0.0) -> None:
        self.channels: Counter[str] = Counter()
        self.at_once = self.most = 0
        self._lock = threading.Lock()
        original = DatabaseArchive._read

        def read(archive: DatabaseArchive, channel: Channel) -> object:
            with self._lock:
                self.channels[str(channel.values)] += 1
                self.at_once += 1
                self.most = max(self.most, self.at_once)
            try:
                if lasting:
                    time.sleep(lasting)  # a slow database; nothing is waited for by it
                return original(archive, channel)
            finally:
                with self._lock:
                    self.at_once -= 1

        monkeypatch.setattr(DatabaseArchive, "_read", read)


@live
async def test_what_many_come_back_to_is_read_once_or_twice(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene()
    for project in (1, 1, 2):
        made.write(project=project)
    reads = Reads(monkeypatch)
    kinds = [*KINDS.values()]

    async def come(number: int) -> None:
        async with kinds[number % 3](made.port) as peer:
            await peer.hello()
            await peer.subscribe(*CHANNELS, after="of-the-last-server.7")
            while len(peer.rows) < len(CHANNELS):
                await peer.hear()
            assert [len(peer.rows[channel]) for channel in CHANNELS] == [2, 1, 0]

    await asyncio.gather(*map(come, range(CLIENTS)))
    assert len(reads.channels) == len(CHANNELS)
    assert sum(reads.channels.values()) <= 2 * len(CHANNELS), reads.channels
    await eventually(lambda: not made.connections)


@live
async def test_whoever_comes_while_rows_are_shared_is_no_commit_behind(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene()
    reads = Reads(monkeypatch)
    for number in range(20):
        made.write()
        async with [*KINDS.values()][number % 3](made.port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
            while peer.rows.get(PAGES) != made.rows():
                await peer.hear()
    assert sum(reads.channels.values()) <= 2
    made.doubt()  # what the log can't tell is read
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        while peer.rows.get(PAGES) != made.rows():
            await peer.hear()


@live
async def test_what_another_program_writes_in_a_rush_is_a_moment_late(scene: Make) -> None:
    made = scene()
    made.write()
    async with Peer(made.port) as first, Peer(made.port) as late:
        for peer in (first, late):
            await peer.hello()
        await first.subscribe(PAGES)
        with Session(made.sessions.kw["bind"]) as unheard, unheard.begin():
            unheard.add(Page(project_id=1, title="of another program"))
        await late.subscribe(PAGES)
        assert len(late.rows[PAGES]) == 1
        for peer in (first, late):
            await peer.until(lambda message: message.get("type") == "reset")
            await peer.subscribe(PAGES, number=2)
            while peer.rows.get(PAGES) != made.rows():
                await peer.hear()


@live
async def test_so_many_reads_run_at_once(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene(snapshot_threads=2)
    reads = Reads(monkeypatch, lasting=0.01)
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.subscribe(*[f"projects/{number}/pages" for number in range(40)])
        while len(peer.rows) < 40:
            await peer.hear()
    assert sum(reads.channels.values()) == 40
    assert reads.most == 2


@live
async def test_a_large_snapshot_waits_until_the_last_one_is_taken(scene: Make) -> None:
    """Rows that are at hand do not pile up before a client that has not taken the last ones."""
    made = scene(queue_bytes=20_000)
    for project in (1, 2):
        for _ in range(10):
            made.write(10_000, project)
    for _ in range(3):
        async with Peer(made.port) as peer:
            await peer.hello()
            await peer.subscribe(*CHANNELS[:2])
            while len(peer.rows) < 2:
                await peer.hear()
            assert [len(peer.rows[channel]) for channel in CHANNELS[:2]] == [10, 10]
