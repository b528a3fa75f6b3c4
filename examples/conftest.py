"""Windows on a running example: a real process, a real Chromium, and a record of all that reaches a window."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, WebSocket, expect

from tests.support.browser import chromium
from tests.support.processes import Process, free_ports

SHOWN = "[...document.querySelectorAll('#rows input.title')].map(input => input.value)"


class Example:
    """An example in a process of its own, while the block lasts: on two ports that stay the same when it is started again."""

    def __init__(self, module: str, home: str, folder: Path, **environment: str) -> None:
        port, realtime_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        self.home = home
        self.origins = {self.url, f"http://127.0.0.1:{realtime_port}", f"ws://127.0.0.1:{realtime_port}"}
        self.folder = folder
        self.environment = {"PORT": str(port), "REALTIME_PORT": str(realtime_port), "DEMO_FOLDER": str(folder), **environment}
        # Rows are not shared: what fills a table just before a window opens is another program, and is not told at all.
        self.process = Process(module, REALTIME_SNAPSHOT_SHARE="0", **self.environment)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait for its URL, the first line that it prints."""
        self.process.start()
        self.process.printed("^" + self.url + "$")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        self.process.stop(by)


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

    def shows(self, titles: list[str], shown: str = SHOWN) -> None:
        """Wait until the table has these titles, in this order."""
        try:
            self.page.wait_for_function(f"wanted => JSON.stringify({shown}) === JSON.stringify(wanted)", arg=titles)
        except TimeoutError:
            assert (self.page.evaluate(shown), self.errors) == (titles, [])
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


OpenWindow = Callable[..., Window]


@pytest.fixture
def open_window(browser: Browser, demo: Example) -> Iterator[OpenWindow]:
    """Opens windows of users (1 is Ada, 2 is Grace) on a path, by default on the page that both may see."""
    contexts: list[BrowserContext] = []

    def open_one(user: int | None, path: str | None = None, **options: Any) -> Window:
        context = browser.new_context(**options)
        contexts.append(context)
        window = Window(context)
        if user is not None:
            assert context.request.post(demo.url + "/session", data={"user": user}).ok
        window.page.goto(demo.url + (path or demo.home))
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
