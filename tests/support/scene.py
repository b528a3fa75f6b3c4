"""An application whose pages are live on a real server, a canary that must hear every commit, and an ear on the log."""

from __future__ import annotations

import asyncio
import functools
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone, signed_in
from sqla_realtime.hub.connection import Connection
from sqla_realtime.server.broadcaster import Broadcaster
from tests.support.models import Account, AccountOut, Page, PageOut, Project
from tests.support.peer import Peer

SECRET = "correct horse battery staple, and more"  # noqa: S105
PAGES = "projects/1/pages"
ALIKE = {"code": "forbidden", "message": "There is no such channel, or it is not for you."}


class Scene:
    """Pages of project 1 are for anyone, of members for who signs in, of the vault for nobody; accounts have no rule."""

    def __init__(self, realtime: Realtime, engine: Engine, *, fill: bool = True) -> None:
        self.realtime = realtime
        self.sessions: sessionmaker[Session] = sessionmaker(engine)
        self.written: list[str] = []
        realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
        realtime.publish(Page, schema=PageOut, channel="members/{project_id}", join=signed_in)
        realtime.publish(Page, schema=PageOut, channel="vault/{project_id}", join=lambda user, project_id: False)
        realtime.publish(Account, schema=AccountOut, channel="banks/{bank}")
        realtime.enable(self.sessions)
        if fill:
            with self.sessions.begin() as session:
                session.add_all([Project(id=1), Project(id=2)])

    @property
    def port(self) -> int:
        return self.realtime.port

    def write(self, size: int = 0, project: int = 1) -> None:
        """Commit one more page, with a title of this size."""
        title = f"page {len(self.written)}".ljust(size)
        with self.sessions.begin() as session:
            session.add(Page(project_id=project, title=title))
        if project == 1:
            self.written.append(title)

    def doubt(self) -> None:
        """Commit what can't be told row by row."""
        with self.sessions.begin() as session:
            session.execute(text("UPDATE page SET size = size + 1"))

    def rows(self, project: int = 1) -> dict[tuple[str, str], dict[str, Any]]:
        """What a client of a project's pages must show."""
        with self.sessions() as session:
            pages = session.scalars(select(Page).where(Page.project_id == project))
            return {("Page", str(page.id)): PageOut.model_validate(page, from_attributes=True).model_dump() for page in pages}

    @property
    def server(self) -> Broadcaster:
        runner = self.realtime._runner
        assert runner is not None
        assert runner._broadcaster is not None
        return runner._broadcaster

    @property
    def connections(self) -> list[Connection]:
        """The server's ends of the conversations under way."""
        return [each.connection for each in list(self.server._lobby.conversations)]

    @asynccontextmanager
    async def canary(self) -> AsyncIterator[Peer]:
        """A subscriber of the pages. Whatever happens meanwhile, it hears each commit, once and in order."""
        async with Peer(self.port) as bird:
            await bird.hello()
            await bird.subscribe(PAGES)
            self.write()
            before = len(self.written) - 1
            yield bird
            for _ in range(3):
                self.write()
            expected = self.written[before:]
            while len(heard := titles(bird)) < len(expected):
                await bird.hear()
            assert heard == expected


def titles(peer: Peer) -> list[str]:
    """The titles of the pages in the commits that a peer has heard."""
    return [change["record"]["title"] for message in peer.log if "commit" in message for change in message["changes"]]


class Ear:
    """Hears everything that is logged. After the test nothing secret is in it, and no traceback but the expected ones."""

    def __init__(self) -> None:
        self.secrets = [SECRET]
        self.tracebacks = 0
        self._text = io.StringIO()
        self.handler = logging.StreamHandler(self._text)

    @property
    def text(self) -> str:
        return self._text.getvalue()

    def check(self) -> None:
        for secret in self.secrets:
            assert secret not in self.text, "a secret in the log"
        assert self.text.count("Traceback (most") == self.tracebacks, self.text
        assert "never retrieved" not in self.text, self.text
        assert "was destroyed" not in self.text, self.text


@contextmanager
def listening() -> Iterator[Ear]:
    """An ear at every logger, at DEBUG; but for the test's own client, which writes down what it sends."""
    ear, root, client = Ear(), logging.getLogger(), logging.getLogger("websockets")
    levels = root.level, client.level
    root.addHandler(ear.handler)
    root.setLevel(logging.DEBUG)
    client.setLevel(logging.WARNING)
    try:
        yield ear
    finally:
        root.removeHandler(ear.handler)
        root.setLevel(levels[0])
        client.setLevel(levels[1])
    ear.check()


def live(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a test that is a coroutine function."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **fixtures), 60))

    return run


async def refused(peer: Peer, channel: str, number: int = 1) -> dict[str, Any]:
    """Ask for a channel that is not to be had; the answer but for what the question was."""
    answer = await peer.subscribe(channel, number=number)
    assert (answer.pop("type"), answer.pop("channel"), answer.pop("id")) == ("error", channel, number)
    return answer


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what no message tells."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)
