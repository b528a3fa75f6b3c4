"""ASGI: a FastAPI application whose requests mark their commits and are told where these are, called without a network."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sqla_realtime import Commit, Realtime, anyone
from sqla_realtime.errors import PortInUse
from sqla_realtime.integrations import asgi
from sqla_realtime.integrations.asgi import OwnWrites, lifespan
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.transports.family import can_share
from tests.support.models import Page, PageOut, Project
from tests.support.peer import Peer
from tests.support.scene import PAGES

ME, OTHER = "c-0123456789abcdef", "c-fedcba9876543210"


class Site:
    """An application that writes pages from a coroutine, from a thread, in the background, and not at all."""

    def __init__(self, realtime: Realtime, engine: Engine) -> None:
        self.realtime = realtime
        self.sessions: sessionmaker[Session] = sessionmaker(engine)
        realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
        realtime.enable(self.sessions)
        with self.sessions.begin() as session:
            session.add(Project(id=1))
        app = FastAPI()
        app.add_middleware(OwnWrites, realtime=realtime)
        self.app: asgi.App = app

        @app.post("/thread")
        def in_a_thread() -> None:
            self.write()

        @app.post("/task")
        async def in_a_task() -> None:
            self.write()
            await asyncio.create_task(asyncio.to_thread(self.write))

        @app.post("/later")
        async def in_the_background(tasks: BackgroundTasks) -> None:
            tasks.add_task(self.write)

        @app.post("/nothing")
        async def nothing() -> None:
            pass

    def write(self) -> None:
        with self.sessions.begin() as session:
            session.add(Page(project_id=1, title="x"))

    async def post(self, path: str, *headers: tuple[str, str]) -> tuple[int, str | None]:
        """The status and the position of an answer."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        }
        await self.app(scope, receive, send)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found.get("x-realtime-position")

    @property
    def origins(self) -> list[str | None]:
        return [entry.commit.origin for entry in self.realtime._broker.held()]

    def at(self, offset: int) -> str:
        return f"{self.realtime._broker.held()[0].position.epoch}.{offset}"


@pytest.fixture
def site(sqlite: Engine, realtime: Callable[..., Realtime]) -> Site:
    return Site(realtime(), sqlite)


def test_requests_mark_their_commits_and_are_told_where_they_are(site: Site) -> None:
    async def scene() -> list[Any]:
        return [
            await site.post("/thread", ("X-Realtime-Connection", ME)),
            await site.post("/task", ("X-Session-ID", "older")),
            await site.post("/nothing", ("X-Realtime-Connection", ME)),
            await site.post("/later", ("X-Realtime-Connection", ME)),
            await site.post("/thread"),
            await site.post("/nowhere"),
        ]

    answers = asyncio.run(scene())
    assert site.origins == [ME, "older", "older", ME, None]
    positions = [site.at(1), site.at(3), None, None, site.at(5), None]
    assert answers == list(zip([200, 200, 200, 200, 200, 404], positions, strict=True))


def test_requests_at_the_same_time_are_not_mixed_up(site: Site) -> None:
    async def scene() -> None:
        await asyncio.gather(*(site.post("/task", ("X-Realtime-Connection", each)) for each in [ME, OTHER] * 5))

    asyncio.run(scene())
    assert sorted(map(str, site.origins)) == sorted([ME, OTHER] * 10)


@pytest.mark.parametrize("headers", [[ME + "é"], [ME, OTHER], ["c-short"]])
def test_whoever_is_malformed_is_nobody(site: Site, headers: list[str]) -> None:
    answer = asyncio.run(site.post("/thread", *[("X-Realtime-Connection", each) for each in headers]))
    assert answer == (200, site.at(1))
    assert site.origins == [None]


def test_an_earlier_commit_is_waited_for_without_blocking_the_loop(site: Site) -> None:
    async def scene() -> None:
        earlier = site.realtime._broker.begin(Commit((), frozenset(["x"])))
        asking = asyncio.ensure_future(site.post("/task"))
        assert await site.post("/nothing") == (200, None)
        threading.Timer(0.05, earlier.finish, [True]).start()
        assert await asking == (200, site.at(3))

    asyncio.run(scene())


def test_what_is_no_request_passes_through(site: Site) -> None:
    heard: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append(scope["type"])

    async def nothing(*given: Any) -> Any:
        raise AssertionError

    asyncio.run(OwnWrites(app, site.realtime)({"type": "lifespan"}, nothing, nothing))
    assert heard == ["lifespan"]


def test_the_broadcaster_runs_while_the_application_does(realtime: Callable[..., Realtime], engine: Engine) -> None:
    async def scene() -> None:
        site = Site(realtime(), engine)
        async with lifespan(site.realtime)(site.app):
            assert site.realtime.running
            other = realtime(port=site.realtime.port)
            other.enable(sessionmaker(engine))
            with pytest.raises(PortInUse):
                await lifespan(other)(site.app).__aenter__()
        assert not site.realtime.running

    asyncio.run(scene())


def test_starlette_without_fastapi(realtime: Callable[..., Realtime], sqlite: Engine) -> None:
    """Its lifespan is ASGI's: messages, as a server sends them."""

    async def scene() -> None:
        site = Site(realtime(), sqlite)

        async def add(request: Request) -> Response:
            await asyncio.to_thread(site.write)
            return Response(status_code=204)

        site.app = Starlette(
            routes=[Route("/add", add, methods=["POST"])],
            middleware=[Middleware(OwnWrites, realtime=site.realtime)],
            lifespan=lifespan(site.realtime),
        )
        told, heard = asyncio.Queue[dict[str, Any]](), asyncio.Queue[Any]()
        running = asyncio.ensure_future(site.app({"type": "lifespan"}, told.get, heard.put))
        told.put_nowait({"type": "lifespan.startup"})
        assert await heard.get() == {"type": "lifespan.startup.complete"}
        async with Peer(site.realtime.port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
            assert await site.post("/add", ("X-Realtime-Connection", ME)) == (204, site.at(1))
            await peer.until(lambda message: "commit" in message)
            told.put_nowait({"type": "lifespan.shutdown"})
            assert (await peer.closed())[0] == CloseCode.RESTARTING
        assert await heard.get() == {"type": "lifespan.shutdown.complete"}
        await running
        assert not site.realtime.running

    async def whole() -> None:
        async with asyncio.timeout(30):
            await scene()

    asyncio.run(whole())


def test_a_process_that_is_not_to_serve_only_writes(realtime: Callable[..., Realtime], sqlite: Engine) -> None:
    async def scene() -> None:
        site = Site(realtime(embedded=False), sqlite)
        async with lifespan(site.realtime)(site.app):
            assert not site.realtime.running
            assert await site.post("/thread") == (200, site.at(1))

    asyncio.run(scene())


def one(realtime: Callable[..., Realtime], engine: Engine, port: int = 0) -> Realtime:
    """One of those that share a log."""
    made = realtime(broker="database", port=port)
    made.metadata.create_all(engine)
    made.enable(sessionmaker(engine))
    return made


@pytest.mark.skipif(not can_share(), reason="no port can be shared here")
def test_processes_with_one_log_share_the_port(realtime: Callable[..., Realtime], engine: Engine, sqlite: Engine) -> None:
    async def scene() -> None:
        first = one(realtime, engine)
        async with lifespan(first)(None), lifespan(one(realtime, engine, first.port))(None):
            with pytest.raises(PortInUse):  # another log is another application
                await lifespan(one(realtime, sqlite, first.port))(None).__aenter__()

    asyncio.run(scene())


def test_a_process_that_only_writes_takes_over(
    realtime: Callable[..., Realtime], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqla_realtime.server.lifecycle.can_share", lambda: False)
    monkeypatch.setattr(asgi, "RETRY", 0.01)

    async def scene() -> None:
        first = one(realtime, engine)
        await asyncio.to_thread(first.start)
        second = one(realtime, engine, first.port)
        loop, started = asyncio.get_running_loop(), asyncio.Event()

        def start() -> None:
            Realtime.start(second)
            loop.call_soon_threadsafe(started.set)

        monkeypatch.setattr(second, "start", start)
        async with lifespan(second)(None):
            assert not second.running
            await asyncio.to_thread(first.stop)
            async with asyncio.timeout(20):
                await started.wait()
            assert second.running
        assert not second.running

    asyncio.run(scene())
