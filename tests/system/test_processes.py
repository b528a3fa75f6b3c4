"""Several processes on one database: what any of them commits reaches the browsers of every other, whoever is killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime
from sqla_realtime.transports.family import can_share
from tests.support.databases import new_engine
from tests.support.guest import Guest
from tests.support.models import Page, PageOut
from tests.support.peer import Peer
from tests.support.processes import ROOT, Process, free_ports
from tests.support.scene import PAGES
from tests.support.shared_app import make, prepare, write

Start = Callable[..., Process]


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with the tables of the models and of the log."""
    with new_engine(request.param, tmp_path) as engine:
        yield prepare(engine)


@pytest.fixture
def start(shared: Engine) -> Iterator[Start]:
    """Starts processes of the application, and ends them."""
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        url = shared.url.render_as_string(hide_password=False)
        started.append(Process("tests.support.shared_app", url, *arguments))
        started[-1].start()
        return started[-1]

    yield begin
    for each in started:
        each.stop(signal.SIGKILL)


def test_rights_are_looked_at_again_on_every_server(shared: Engine, realtime: Callable[..., Realtime]) -> None:
    """Whoever takes a right away need not know where the reader's connection is."""
    allowed = [True]

    def one() -> Realtime:
        made = realtime(broker="database")
        made.publish(Page, schema=PageOut, channel="projects/{project_id}/pages")
        made.channel("projects/{project_id}/pages")(lambda user, project_id: allowed[0])
        made.enable(sessionmaker(shared))
        return made

    async def scene() -> None:
        async with Peer(server.port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
            allowed[0] = False
            await asyncio.to_thread(other.recheck, PAGES)
            write(sessionmaker(shared), "not for everybody")
            assert (await peer.hear())["type"] == "leave"

    server, other = one(), one()
    server.start()
    asyncio.run(scene())


MODULE = """
import os
from tests.support.shared_app import make

realtime, sessions, engine = make(os.environ["SHARED_URL"])
"""


def test_a_broadcaster_runs_in_a_process_of_its_own(shared: Engine, start: Start, tmp_path: Path) -> None:
    async def scene(port: int) -> None:
        async with Peer(port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
            await asyncio.to_thread(start("many", "3").printed, "^written 2$")
            await converge(peer, shared)
            server.send(signal.SIGTERM)
            assert await peer.closed() == (4500, "restarting")

    (tmp_path / "served.py").write_text(MODULE)
    url = shared.url.render_as_string(hide_password=False)
    server = Process(
        "sqla_realtime", "serve", "--app", "served", "--port", "0", folder=tmp_path, SHARED_URL=url, PYTHONPATH=str(ROOT)
    )
    with server:
        asyncio.run(scene(int(server.printed("^Listening").split(":")[-1].split("/")[0])))
        assert server.stop(signal.SIGCONT) == 0, "it was told to end already"


@pytest.mark.skipif(not can_share(), reason="no port can be shared here")
def test_broadcasters_share_a_port_and_take_over_from_each_other(shared: Engine, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Guest("sse", port) as guest:
            for number, server in enumerate(servers):
                await asyncio.to_thread(server.stop, signal.SIGKILL)
                await asyncio.to_thread(write, sessions, f"page {number}")
                await guest.shows([f"page {each}" for each in range(number + 1)])
                if server is servers[0]:
                    server.start()
                    await asyncio.to_thread(server.printed, "^Listening")
            assert len(guest.answers) > 1, "each of them was killed"
            assert all(answer.get("recovered") for answer in guest.answers[1:])

    (tmp_path / "served.py").write_text(MODULE)
    [port] = free_ports(1)
    url = shared.url.render_as_string(hide_password=False)
    environment = {"SHARED_URL": url, "PYTHONPATH": str(ROOT)}
    realtime, sessions, engine = make(url)
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.callback(realtime.stop)
        command = ("sqla_realtime", "serve", "--app", "served", "--port", str(port))
        servers = [stack.enter_context(Process(*command, folder=tmp_path, **environment)) for _ in range(2)]
        for server in servers:
            server.printed("^Listening")
        asyncio.run(scene())


def port_of(server: Process) -> int:
    return int(server.printed("^port ").split()[1])


def stored(engine: Engine) -> list[str]:
    """The titles of the pages, in the order of their keys."""
    with Session(engine) as session:
        return list(session.scalars(select(Page.title).order_by(Page.id)))


def shown(peer: Peer) -> list[str]:
    rows = peer.rows[PAGES]
    return [rows[key]["title"] for key in sorted(rows, key=lambda key: int(key[1]))]


async def converge(peer: Peer, engine: Engine) -> None:
    """Hear messages until the rows are what the SELECT returns."""
    wanted = await asyncio.to_thread(stored, engine)
    while shown(peer) != wanted:
        await peer.hear()


def test_what_other_processes_commit_reaches_the_browsers_of_every_server(shared: Engine, start: Start) -> None:
    async def scene() -> None:
        async with Peer(ports[0]) as one, Peer(ports[1]) as two:
            for peer in (one, two):
                await peer.hello()
                await peer.subscribe(PAGES)
            writers = [start("many", "20") for _ in range(3)]
            for writer in writers:
                await asyncio.to_thread(writer.printed, "^written 19$")
            for peer in (one, two):
                await converge(peer, shared)
            assert len(one.commits) == 60
            assert one.commits == two.commits

    ports = [port_of(server) for server in [start("serve"), start("serve")]]
    asyncio.run(scene())


def test_a_writer_that_is_killed_right_after_its_commit_has_been_heard(shared: Engine, start: Start) -> None:
    async def scene() -> None:
        async with Peer(port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
            start("die", "last words")
            await peer.hear()
            assert shown(peer) == ["last words"]

    port = port_of(start("serve"))
    asyncio.run(scene())


def test_whoever_loses_its_server_goes_on_at_another_without_a_gap_or_a_reload(shared: Engine, start: Start) -> None:
    async def scene() -> None:
        async with Peer(port_of(first)) as before:
            await before.hello()
            await before.subscribe(PAGES)
            await asyncio.to_thread(start("many", "3").printed, "^written 2$")
            await converge(before, shared)
        first.stop(signal.SIGKILL)
        await asyncio.to_thread(start("many", "5").printed, "^written 4$")
        later = await asyncio.to_thread(lambda: port_of(start("serve")))
        for port in (port_of(second), later):
            async with Peer(port) as after:
                after.rows = {PAGES: dict(before.rows[PAGES])}
                await after.hello()
                answer = await after.subscribe(PAGES, after=before.position)
                assert answer["channels"] == [{"channel": PAGES, "recovered": True}]
                await converge(after, shared)
                assert len(after.commits) == 5

    first, second = start("serve"), start("serve")
    asyncio.run(scene())
