"""The applications of docs/juggernaut.md and docs/pusher.md, as they stand there, each in two windows of a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import chromium
from tests.support.markdown import blocks
from tests.support.processes import ROOT, Process, free_ports

pytestmark = pytest.mark.browser

PACKAGES = ROOT / "node_modules"
# In place of `flask run`, so that one hears when it is there.
SERVE = """
import sys
from werkzeug.serving import make_server
from app import app

server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
print("serving", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not (PACKAGES / ".installed").exists():
        missing = 'NO PACKAGES of npm, so two documents were not tried: "make node_modules/.installed" installs them.'
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with chromium() as browser:
        yield browser


@pytest.fixture
def url(document: str, tmp_path: Path) -> Iterator[str]:
    """Where the document's application is: its blocks until the page's."""
    found = list(blocks((ROOT / "docs" / document).read_text("utf-8")))
    page = next(block for block in found if block.language == "html")
    code = [block.code for block in found if block.language == "python" and block.line < page.line]
    (tmp_path / "app.py").write_text("\n\n".join(code))
    (tmp_path / "page.html").write_text(page.code)
    (tmp_path / "serve.py").write_text(SERVE)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    port, realtime_port = free_ports(2)
    environment = {"PYTHONPATH": str(ROOT), "REALTIME_PORT": str(realtime_port)}
    with Process("serve", str(port), folder=tmp_path, **environment) as process:
        process.printed("^serving")
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def windows(browser: Browser, url: str) -> Iterator[list[Page]]:
    """Two, in which nothing goes wrong."""
    context = browser.new_context()
    errors: list[Exception] = []
    pages = [context.new_page() for _ in range(2)]
    for page in pages:
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(url)
    yield pages
    assert errors == []
    context.close()


def add(window: Page, title: str) -> None:
    window.locator("input").fill(title)
    window.get_by_role("button", name="Add").click()


@pytest.mark.parametrize("document", ["juggernaut.md"])
def test_juggernaut(windows: list[Page]) -> None:
    first, second = windows
    # It is the client's own mark of a connection, which the second window's requests would come too early for.
    for window in windows:
        window.wait_for_function("jug.sessionID")
    add(first, "One")
    for window in windows:
        expect(window.locator("li span")).to_have_text(["One"])
    add(second, "Two")
    for window in windows:
        expect(window.locator("li span")).to_have_text(["One", "Two"])
    first.once("dialog", lambda dialog: dialog.accept("Renamed"))
    first.locator("li span").first.click()
    second.get_by_role("button", name="Delete").last.click()
    for window in windows:
        expect(window.locator("li span")).to_have_text(["Renamed"])


@pytest.mark.parametrize("document", ["pusher.md"])
def test_pusher(windows: list[Page]) -> None:
    for window, title in zip(windows, ["One", "Two"], strict=True):
        add(window, title)
        expect(window.locator("li").last).to_have_text(title)
    for window in windows:
        expect(window.locator("li")).to_have_text(["One", "Two"])
        window.reload()
        expect(window.locator("li")).to_have_text(["One", "Two"])
