"""Two processes on one port: unmodified clients that poll have their sessions, whichever process each request reaches."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime.transports.family import can_share
from tests.support.databases import sqlite_engine
from tests.support.foreign_app import make, prepare
from tests.support.juggernaut import Window, home
from tests.support.models import Page
from tests.support.node_pusher import Node
from tests.support.processes import Process, free_ports

pytestmark = pytest.mark.skipif(not can_share(), reason="processes do not share ports here")

# So many sessions at most until each process has handed a request over: which one the kernel gives a connection is chance.
MOST = 40
OVER_XHR = """
var port = %d
var over = (transport, number) => {
    const places = {httpHost: "127.0.0.1", httpPort: port, enabledTransports: [transport]}
    const pusher = new Pusher("app-key", {...options(port), ...places})
    pusher.connection.bind("disconnected", () => say("gone", number))
    pusher.connection.bind("error", error => say("error", number, error))
    pusher.subscribe("pages").bind_global((event, data) => say(event, number, data.record?.title))
}
"""


class Two:
    """Both processes, and commits by a third one, which is this."""

    def __init__(self, processes: list[Process], port: int, sessions: sessionmaker[Session]) -> None:
        self.processes = processes
        self.port = port
        self._sessions = sessions

    def write(self, title: str) -> None:
        with self._sessions.begin() as session:
            session.add(Page(project_id=1, title=title))

    def handed(self, path: str) -> bool:
        """Whether each of them has handed over a request to a path like this one."""
        return all(f"to {path}" in process.output and "handed over" in process.output for process in self.processes)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    engine: Engine = sqlite_engine(tmp_path)
    url = engine.url.render_as_string(hide_password=False)
    prepare(engine)
    realtime, sessions, writing = make(url, port=0)
    [port] = free_ports(1)
    processes = [Process("tests.support.foreign_app", url, str(port)) for _ in range(2)]
    try:
        for each in processes:
            each.start()
        for each in processes:
            each.printed(f"port {port}")
        yield Two(processes, port, sessions)
    finally:
        for each in processes:
            each.stop()
        realtime.disable(sessions)
        writing.dispose()
        engine.dispose()


def until(condition: Callable[[int], bool]) -> int:
    """How many sessions there are when this is so, each begun by what is asked whether it is."""
    for number in range(1, MOST + 1):
        if condition(number):
            return number
    pytest.fail("no request of so many has reached the process without its session")


@pytest.mark.parametrize("transport", ["xhr_streaming", "xhr_polling"])
def test_pusher_js(two: Two, transport: str) -> None:
    with Node() as node:
        node.run(OVER_XHR % two.port)

        def another(number: int) -> bool:
            node.run(f"over({transport!r}, {number})")
            node.until(lambda words: words[:2] == ["pusher:subscription_succeeded", number])
            return number > 3 and two.handed("/pusher/app/app-key/")

        count = until(another)
        for title in ("one", "two", "three"):
            two.write(title)
            for number in range(1, count + 1):
                if ["create", number, title] not in node.words:
                    node.until(lambda words, wanted=["create", number, title]: words == wanted)
        assert not [words for words in node.words if words[0] in ("gone", "error")]
        assert len([words for words in node.words if words[0] == "create"]) == 3 * count
        # Those whose process is killed, and those whose request is just on its way through it, begin anew at the other one.
        two.processes[0].stop(signal.SIGKILL)
        back: set[int] = set()
        for turn in range(MOST * 100):
            two.write(f"again {turn}")
            node.run('say("turn")')
            while (words := node.until(lambda words: words[0] in ("create", "turn")))[0] == "create":
                back.add(words[1])
            if len(back) == count:
                break
        assert len(back) == count


@pytest.mark.browser
def test_juggernaut(two: Two, browser: Browser) -> None:
    with home() as url:
        windows: dict[Window, str] = {}

        def another(number: int) -> bool:
            page = browser.new_context().new_page()
            page.set_default_timeout(20_000)
            window = Window(page, url, two.port, "xhr-polling")
            windows[window] = window.session
            two.write(f"{number}")
            for window in windows:
                window.shows(*(f"{each}" for each in range(1, number + 1)))
            return two.handed("/socket.io/1/xhr-polling")

        until(another)
        for window, session in windows.items():
            assert window.session == session, "it had to begin another one"
            window.check()
            window.page.context.close()
