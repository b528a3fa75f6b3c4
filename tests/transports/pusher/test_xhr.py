"""Where no WebSocket gets through: unmodified pusher-js in Chromium over XHR, across origins (test_box.py has the lines)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import chromium
from tests.support.scene import Scene
from tests.transports.pusher import test_socket
from tests.transports.pusher.test_socket import APP

Make = Callable[..., Scene]
LIBRARY = Path(__file__).parents[3] / "node_modules" / "pusher-js" / "dist" / "web" / "pusher.js"
CONNECT = """
([port, transport]) => {
    window.heard = []
    window.pusher = new Pusher("app-key", {cluster: "", httpHost: "127.0.0.1", httpPort: port, forceTLS: false,
        enabledTransports: [transport]})
    pusher.connection.bind("state_change", ({current}) => heard.push(current))
    pusher.subscribe("projects,1,pages").bind_global((event, data) => heard.push(event + (data.id ?? "")))
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def comes(page: Page, *heard: str) -> None:
    page.wait_for_function("wanted => wanted.every(each => heard.includes(each))", arg=list(heard))


@pytest.mark.browser
@pytest.mark.parametrize("transport", ["xhr_streaming", "xhr_polling"])
def test_pusher_js_hears_commits(scene: Make, browser: Browser, transport: str) -> None:
    made = scene(pusher=[APP])
    page = browser.new_page()
    page.goto(f"http://localhost:{made.port}/")
    page.add_script_tag(path=LIBRARY)
    page.evaluate(CONNECT, [made.port, transport])
    comes(page, "connected", "pusher:subscription_succeeded")
    for number in range(1, 4):
        made.write()
        comes(page, f"create{number}")
    if transport == "xhr_streaming":
        for _ in range(30):  # more than a stream carries, so the client goes on with another one
            made.write(14_000)
        comes(page, "create33")
        assert page.evaluate("heard.filter(each => each.startsWith('create')).length") == 33
        assert page.evaluate("heard.filter(each => each === 'connected').length") == 1
    test_socket.dismiss(made)
    comes(page, "connecting")
    page.wait_for_function("heard.filter(each => each === 'pusher:subscription_succeeded').length === 2")
    page.close()
