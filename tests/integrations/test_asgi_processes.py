"""FastAPI under uvicorn with several workers: one of them broadcasts for all, and another one takes over from it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqla_realtime import Realtime
from tests.support.models import Base, Project
from tests.support.peer import Peer
from tests.support.processes import Process, free_ports
from tests.support.scene import PAGES


class Site:
    """The workers, and where they answer."""

    def __init__(self, url: str) -> None:
        self.port, self.realtime_port = free_ports(2)
        self._opener = build_opener(ProxyHandler({}))
        command = ("uvicorn", "tests.support.asgi_app:app", "--workers", "3", "--port", str(self.port))
        self.process = Process(*command, SHARED_URL=url, REALTIME_PORT=str(self.realtime_port))

    def ask(self, path: str, method: str = "GET") -> object:
        """The answer of any worker."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with self._opener.open(request, timeout=20) as answer:
            return json.load(answer)

    def broadcaster(self) -> int:
        """The worker that broadcasts; whoever answers is asked until it is that one."""
        while True:
            try:
                found = self.ask("/serving")
            except OSError:  # that worker has just been killed
                continue
            if isinstance(found, dict) and found["serving"]:
                return int(found["pid"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    engine = create_engine(f"sqlite:///{tmp_path / 'shared.db'}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    Base.metadata.create_all(engine)
    Realtime().metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Project(id=1))
    site = Site(engine.url.render_as_string())
    engine.dispose()
    with site.process:
        site.process.printed("Application startup complete")
        yield site


def titles(peer: Peer) -> list[str]:
    return [change["record"]["title"] for _, changes in peer.commits for change in changes]


async def hears(site: Site, peer: Peer, wanted: list[str]) -> set[object]:
    """Post these, and wait until the peer has them; the workers that wrote them."""
    before = len(titles(peer))
    workers = {await asyncio.to_thread(site.ask, f"/pages/{title}", "POST") for title in wanted}
    while len(titles(peer)) < before + len(wanted):
        await peer.hear()
    assert titles(peer)[before:] == wanted
    return workers


def test_every_worker_writes_one_broadcasts_and_another_takes_over(site: Site) -> None:
    async def scene() -> None:
        first = await asyncio.to_thread(site.broadcaster)
        async with Peer(site.realtime_port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
            workers: set[object] = set()
            number = 0
            while len(workers) < 2:
                workers |= await hears(site, peer, [f"page-{number}"])
                number += 1
            os.kill(first, signal.SIGKILL)
            await peer.closed()
        assert await asyncio.to_thread(site.broadcaster) != first
        async with Peer(site.realtime_port) as later:
            later.rows = {PAGES: {}}
            await later.hello()
            answer = await later.subscribe(PAGES, after=peer.position)
            assert answer["channels"] == [{"channel": PAGES, "recovered": True}]
            await hears(site, later, ["after"])

    async def whole() -> None:
        async with asyncio.timeout(90):
            await scene()

    asyncio.run(whole())
    assert "Traceback" not in site.process.output
