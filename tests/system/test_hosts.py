"""Hosts and promises: whatever runs the application, its pages are live, and go on whoever is replaced, killed or ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from tests.support.carriers import KINDS, EventsPeer
from tests.support.guest import Guest
from tests.support.hosts import HOSTS, Site
from tests.support.models import Page
from tests.support.processes import listening
from tests.support.scene import live
from tests.support.shared_app import prepare

EACH = 3


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The database of all hosts."""
    engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('hosts') / 'shared.db'}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    yield prepare(engine)
    engine.dispose()


@pytest.fixture(scope="module", params=HOSTS)
def site(request: pytest.FixtureRequest, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(HOSTS[request.param], engine.url.render_as_string(), tmp_path_factory.mktemp("site"))
    site.start()
    yield site
    site.process.stop(signal.SIGKILL)

    assert "Traceback" not in site.process.output


@asynccontextmanager
async def guests(site: Site) -> AsyncIterator[list[Guest]]:
    """Some of each transport, wherever they come out."""
    await asyncio.to_thread(site.serving)
    async with AsyncExitStack() as stack:
        made = [Guest(kind, site.realtime_port) for kind in KINDS for _ in range(EACH)]
        for guest in made:
            await stack.enter_async_context(guest)
        yield made


async def all_show_what_is_stored(site: Site, engine: Engine, there: list[Guest]) -> None:
    """After some more commits of whoever answers."""

    def commit() -> list[str]:
        for number in range(4):
            site.ask(f"/pages/page-{number}", "POST")
        with Session(engine) as session:
            return list(session.scalars(select(Page.title).order_by(Page.id)))

    titles = await asyncio.to_thread(commit)
    for guest in there:
        await guest.shows(titles)


def check_nobody_loaded_anew(there: list[Guest], losers: list[Guest]) -> None:
    """But for the rows that it began with; though at least these have lost their connection."""
    for guest in there:
        assert all(answer.get("recovered") for answer in guest.answers[1:]), guest.answers
    for guest in losers:
        assert len(guest.answers) > 1, f"a {guest.kind} has lost nothing {guest.via}"


@live
async def test_all_that_is_committed_reaches_the_clients_of_all_workers(site: Site, engine: Engine) -> None:
    async with guests(site) as there:
        await all_show_what_is_stored(site, engine, there)
        assert not [guest for guest in there if len(guest.answers) > 1]


def test_the_workers_have_the_port_and_nobody_else_has(site: Site) -> None:
    """Whoever only starts them, such as a reloader, never has: clients would be answered by nobody."""
    workers = site.serving()
    assert all(site.realtime_port in listening(pid) for pid in workers)
    assert site.process.pid in workers or site.realtime_port not in listening(site.process.pid)


@live
async def test_what_a_client_says_reaches_the_worker_that_has_its_stream(site: Site) -> None:
    await asyncio.to_thread(site.serving)
    doors: set[object] = set()
    while len(doors) < min(site.host.workers, 2):
        async with EventsPeer(site.realtime_port) as peer:
            doors.add((await peer.hello())["via"])
            for number in range(8):  # each on a connection of its own
                channel = f"projects/{number + 10}/pages"
                answer = await peer.subscribe(channel, number=number)
                assert answer["channels"] == [{"channel": channel, "rows": []}]
            assert peer.refusal is None


@live
async def test_new_workers_take_over_from_old_ones(site: Site, engine: Engine) -> None:
    async with guests(site) as there:
        await asyncio.to_thread(site.replace)
        await all_show_what_is_stored(site, engine, there)
        check_nobody_loaded_anew(there, there)


@live
async def test_a_worker_that_is_killed_loses_nothing(site: Site, engine: Engine) -> None:
    async with guests(site) as there:
        loser = next(guest for guest in there if guest.via is not None)
        await asyncio.to_thread(site.kill, site.behind(loser.via or ""))
        await all_show_what_is_stored(site, engine, there)
        check_nobody_loaded_anew(there, [loser])


@live
async def test_who_is_ended_says_goodbye(site: Site, engine: Engine) -> None:
    async with guests(site) as there:
        status = await asyncio.to_thread(site.process.stop)
        if not site.host.drains:
            return
        assert status == 0
        for guest in there:
            if guest.kind != "poll":  # which may have been between two polls
                await guest.until(lambda guest=guest: guest.byes)
            assert set(guest.byes) <= {"restarting"}
