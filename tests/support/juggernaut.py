"""A page of 2011 in a browser of today: jQuery, Spine and Juggernaut as npm has them, and a handler as in Spine's guide."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

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
SHOWN = "titles => JSON.stringify(Page.all().map(page => page.title).sort()) === JSON.stringify(titles)"


class Window:
    """One window: what it shows, what it was sent, and what went wrong in it."""

    def __init__(self, page: Page, port: int, transport: str, scripts: list[str] = SCRIPTS, follow: str = FOLLOW) -> None:
        if not (PACKAGES / ".installed").exists():
            pytest.skip("The clients are not installed: make node_modules/.installed")
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(f"{request.method} {request.url}"))
        page.goto(f"http://127.0.0.1:{port}/")
        for script in scripts:
            page.add_script_tag(path=PACKAGES / script)
        options = {"host": "127.0.0.1", "port": port, "transports": [transport], "reconnection delay": 50}
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
        assert self.errors == []
        assert not [request for request in self.requests if "/pages" in request]
