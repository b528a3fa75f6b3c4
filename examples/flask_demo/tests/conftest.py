"""The running demo, and windows on it: a real process, a real Chromium, and a record of all that reaches a window."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, WebSocket, expect

from tests.support.browser import chromium
from tests.support.processes import ROOT, Process, free_ports

SHOWN = "[...document.querySelectorAll('#rows input.title')].map(input => input.value)"

# The titles of the project that both users see.
FIRST = [
    "Cards for the numbers",
    "Cards for the operations",
    "The mill",
    "The store",
    "A moth in relay 70",
    "What it may compose",
]

# What a script of its own process begins with.
SCRIPT = """
from sqlalchemy import delete, update
from examples.flask_demo import create_app
from examples.flask_demo.models import Membership, Page, db
with create_app().app_context():
"""


class Demo:
    """The demo on two ports that stay the same when it is started again, and its database file."""

    def __init__(self, folder: Path, **environment: str) -> None:
        port, realtime_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        self.origins = {self.url, f"http://127.0.0.1:{realtime_port}", f"ws://127.0.0.1:{realtime_port}"}
        self._first: list[Any] | None = None
        self.folder = folder
        self._database = folder / "demo.db"
        self._environment = {"PORT": str(port), "REALTIME_PORT": str(realtime_port), "DEMO_FOLDER": str(folder), **environment}
        # Rows are not shared: what fills the table just before a window opens is another program, and is not told at all.
        self.process = Process("examples.flask_demo", REALTIME_SNAPSHOT_SHARE="0", **self._environment)

    def start(self) -> None:
        """Start it and wait for its URL, the first line that it prints."""
        self.process.start()
        self.process.printed("^" + self.url + "$")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        self.process.stop(by)

    def fill(self) -> None:
        """Put the first rows back."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            if self._first is None:
                self._first = connection.execute("SELECT * FROM page").fetchall()
            connection.execute("DELETE FROM page")
            connection.executemany("INSERT INTO page VALUES (?, ?, ?, ?, ?, ?)", self._first)

    def write(self, script: str) -> None:
        """Run a script on its models in a process of its own, and commit what it did."""
        program = f"{SCRIPT}{indent(script, '    ')}\n    db.session.commit()\n"
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **self._environment}, cwd=ROOT, check=True, timeout=30
        )

    def read(self, column: str, project_id: int = 1) -> list[str]:
        """A column of a project's pages, in their order."""
        query = f"SELECT {column} FROM page WHERE project_id = ? ORDER BY position, id"  # noqa: S608 - our own names
        with closing(sqlite3.connect(self._database)) as connection:
            return [value for (value,) in connection.execute(query, (project_id,))]


class Window:
    """One browser window with cookies of its own, and what has reached it."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.frames: list[str] = []
        self.sent: list[str] = []
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("websocket", self._follow)
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _follow(self, socket: WebSocket) -> None:
        self.socket = socket
        self.requests.append(socket.url)
        socket.on("framesent", lambda payload: self.sent.append(str(payload)))
        socket.on("framereceived", lambda payload: self.frames.append(str(payload)))

    @property
    def commits(self) -> list[dict[str, Any]]:
        """The commits among the frames."""
        return [message for message in map(json.loads, self.frames) if "commit" in message]

    def shows(self, titles: list[str]) -> None:
        """Wait until the table has these titles, in this order."""
        try:
            self.page.wait_for_function(f"wanted => JSON.stringify({SHOWN}) === JSON.stringify(wanted)", arg=titles)
        except TimeoutError:
            assert self.page.evaluate(SHOWN) == titles
            raise

    def is_(self, state: str) -> None:
        """Wait until the chip says so."""
        expect(self.page.locator("#status")).to_have_attribute("data-state", state)

    def mark(self) -> None:
        """Leave something in the page that a reload would take away."""
        self.page.evaluate("window.marked = true")

    def was_not_reloaded(self) -> None:
        """The mark is still there."""
        assert self.page.evaluate("window.marked") is True

    def add(self, title: str) -> None:
        """A new page, as a person would make it."""
        self.page.get_by_label("Title of a new page").fill(title)
        self.page.get_by_role("button", name="Add", exact=True).click()


@contextmanager
def running(demo: Demo) -> Iterator[Demo]:
    """It is started, and whatever becomes of that, it is ended."""
    try:
        demo.start()
        yield demo
    finally:
        demo.stop()


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(Demo(tmp_path_factory.mktemp("demo"))) as demo:
        yield demo


@pytest.fixture
def demo(running_demo: Demo) -> Demo:
    """The running demo with the rows that it began with; no window is open yet."""
    running_demo.fill()
    return running_demo


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


OpenWindow = Callable[..., Window]


@pytest.fixture
def open_window(browser: Browser, demo: Demo) -> Iterator[OpenWindow]:
    """Opens windows of users (1 is Ada, 2 is Grace) on a path, by default on the project that both may see."""
    contexts: list[BrowserContext] = []

    def open_one(user: int | None, path: str = "/projects/1", **options: Any) -> Window:
        context = browser.new_context(**options)
        contexts.append(context)
        window = Window(context)
        if user is not None:
            assert context.request.post(demo.url + "/session", data={"user": user}).ok
        window.page.goto(demo.url + path)
        window.mark()
        return window

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def ada(open_window: OpenWindow) -> Window:
    window = open_window(1)
    window.is_("live")
    return window


@pytest.fixture
def grace(open_window: OpenWindow) -> Window:
    window = open_window(2)
    window.is_("live")
    return window
