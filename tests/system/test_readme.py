"""The README's application, as it stands there, in a browser: a commit appears in an open page, also after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, TimeoutError, WebSocket, expect

from tests.support.browser import HASTE, chromium
from tests.support.markdown import blocks
from tests.support.processes import ROOT, Process, free_ports

pytestmark = pytest.mark.browser

# What the README leaves to its reader: the tables, and a server.
SERVE = """
import sys
from werkzeug.serving import make_server
from readme import app, db

with app.app_context():
    db.create_all()
server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
print("serving", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def readme(tmp_path: Path) -> Iterator[tuple[Process, str]]:
    """The process and the URL of the README's two blocks."""
    code = {block.language: block.code for block in blocks((ROOT / "README.md").read_text("utf-8"))}
    (tmp_path / "readme.py").write_text(code["python"])
    (tmp_path / "page.html").write_text(code["html"])
    (tmp_path / "serve.py").write_text(SERVE)
    port, realtime_port = free_ports(2)
    environment = {"PYTHONPATH": str(ROOT), "REALTIME_PORT": str(realtime_port)}
    with Process("serve", str(port), folder=tmp_path, **environment) as process:
        process.printed("^serving")
        yield process, f"http://127.0.0.1:{port}"


class Reader:
    """An open page, and what has reached it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[str] = []
        self.errors: list[str] = []
        self._socket: WebSocket | None = None
        page.on("websocket", self._follow)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _follow(self, socket: WebSocket) -> None:
        self._socket = socket
        socket.on("framereceived", lambda payload: self.frames.append(str(payload)))

    def joins(self) -> None:
        """Wait until it has been given the rows that it starts from; forget what came until then."""
        while not any('"subscribed"' in frame for frame in self.frames):
            if (socket := self._socket) is None:
                self.page.wait_for_event("websocket")
                continue
            try:
                socket.wait_for_event("framereceived")
            except TimeoutError:
                raise
            except Error:  # it has ended, and there will be another one
                self._socket = None if self._socket is socket else self._socket
        self.frames.clear()


def test_a_row_appears_without_a_reload_and_after_a_restart(readme: tuple[Process, str], browser: Browser) -> None:
    process, url = readme
    reader = Reader(browser.new_page())
    rows = reader.page.locator("#pages li")
    reader.page.goto(url)
    reader.page.evaluate("window.marked = true")
    reader.joins()
    expect(rows).to_have_count(0)

    assert reader.page.request.post(f"{url}/add").status == 204
    expect(rows).to_have_text(["First!"])
    assert ['"commit"' in frame for frame in reader.frames] == [True]

    reader.page.evaluate(HASTE)
    process.stop()
    process.start()
    process.printed("^serving")
    # Nobody asks the new process for anything, but the page that is still open.
    reader.joins()
    assert reader.page.request.post(f"{url}/add").status == 204
    expect(rows).to_have_text(["First!", "First!"])

    assert reader.page.evaluate("window.marked") is True
    assert reader.errors == []
    assert "Traceback" not in process.output
