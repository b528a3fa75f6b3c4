"""A page of 2011 in a browser of today: jQuery, Spine and Juggernaut as npm has them, and a handler as in Spine's guide."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page

# The client's own mistake when it tries to come back a second time before its first handshake is answered; it gets over it.
OVERLAP = "self.transport.open is not a function"
PACKAGES = Path(__file__).parents[2] / "node_modules"
SCRIPTS = ["jquery/dist/jquery.js", "spine/lib/spine.js", "spine/lib/ajax.js", "juggernaut/public/application.js"]

# The calls are those of the guide's handler, in its order. What it is sent is written down first.
FOLLOW = """
options => {
    window.told = []
    window.Page = Spine.Model.sub()
    Page.configure("Page", "title", "size")
    Page.extend(Spine.Model.Ajax)
    Page.url = "/pages"
    window.jug = new Juggernaut(options)
    const process = message => {
        told.push(message)
        const model = window[message.class]
        if (!model) throw "Unknown class"
        if (message.type === "create") {
            if (!model.exists(message.record.id)) model.create(message.record)
        } else if (message.type === "update") {
            model.update(message.id, message.record)
        } else if (message.type === "destroy") {
            model.destroy(message.id)
        } else {
            throw "Unknown type: " + message.type
        }
    }
    jug.subscribe("/observer", message => Spine.Ajax.disable(() => process(message)))
}
"""
# Backbone listens to no socket; this is all that its handler takes.
BACKBONE_SCRIPTS = ["underscore/underscore-umd.js", "backbone/backbone.js", "juggernaut/public/application.js"]
BACKBONE = """
options => {
    window.told = []
    window.pages = new Backbone.Collection()
    window.Page = { all: () => pages.map(page => page.attributes) }
    window.jug = new Juggernaut(options)
    jug.subscribe("/observer", message => {
        told.push(message)
        if (message.type === "destroy") pages.remove(message.id)
        else pages.set([message.record], { remove: false })
    })
}
"""
SHOWN = "titles => JSON.stringify(Page.all().map(page => page.title).sort()) === JSON.stringify(titles)"


class _Home(BaseHTTPRequestHandler):
    """Any page of an application; its scripts are the test's."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><script></script><body>")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


@contextmanager
def home() -> Iterator[str]:
    """An application of its own origin; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Home)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Window:
    """One window: what it shows, what it was sent, and what went wrong in it."""

    def __init__(
        self, page: Page, home: str, port: int, transport: str, scripts: Sequence[str] = SCRIPTS, follow: str = FOLLOW
    ) -> None:
        if not (PACKAGES / ".installed").exists():
            missing = 'NO PACKAGES of npm, so Juggernaut\'s client was not tried: "make node_modules/.installed" installs it.'
            if os.environ.get("CI"):
                pytest.fail(missing)
            pytest.skip(missing)
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(f"{request.method} {request.url}"))
        page.goto(home)
        for script in scripts:
            page.add_script_tag(path=PACKAGES / script)
        # Its five transports are laid over by these, one by one.
        options = {"host": "127.0.0.1", "port": port, "transports": [transport] * 5, "reconnection delay": 100}
        page.evaluate(follow, options)
        page.wait_for_function("jug.sessionID")

    @property
    def session(self) -> str:
        """What the page sends along as X-Session-ID."""
        return str(self.page.evaluate("jug.sessionID"))

    def shows(self, *titles: str) -> None:
        """Wait until these are the titles of its records."""
        self.page.wait_for_function(SHOWN, arg=sorted(titles))

    def told(self) -> list[tuple[str, str]]:
        """Type and id of each message."""
        return [(message["type"], message["id"]) for message in self.page.evaluate("told")]

    def check(self) -> None:
        """Nothing was thrown, and nothing that the handler did has gone back to the server."""
        assert not (thrown := [error for error in self.errors if OVERLAP not in error]), thrown
        assert not [request for request in self.requests if "/pages" in request]
