"""Takes the picture of the README: into docs/images/demo.png with UPDATE_PICTURES=1, else into a temporary folder."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from examples.conftest import OpenWindow, Window
from examples.flask_demo.tests.conftest import FIRST

pytestmark = pytest.mark.browser

PICTURE = Path(__file__).resolve().parents[3] / "docs" / "images" / "demo.png"
WINDOW = {"width": 700, "height": 988}

# What has just arrived stays lit, and nothing else moves.
STILL = """
*, *::before { animation: none !important; caret-color: transparent !important }
tr.fresh, .log li:first-child { background: var(--glow) }
"""
DESK = """
<style>
body { margin: 0; padding: 34px 36px 40px; display: flex; gap: 28px; width: max-content; background: #dcd9d0;
  font: 13px/1 system-ui, sans-serif }
figure { margin: 0; border-radius: 12px; overflow: hidden; background: #efede7;
  box-shadow: 0 0 0 1px #c9c5b9 }
figcaption { display: flex; align-items: center; gap: 8px; height: 38px; padding: 0 14px; color: #6a665e }
i { width: 11px; height: 11px; border-radius: 50%; background: #cfcbc0 }
span { flex: 1; margin: 0 57px 0 0; text-align: center }
img { display: block; width: 700px }
</style>
"""


def photograph(window: Window) -> str:
    """A window's picture as a figure with a title bar."""
    image = base64.b64encode(window.page.screenshot()).decode()
    return (
        "<figure><figcaption><i></i><i></i><i></i><span>127.0.0.1:5000</span></figcaption>"
        f'<img src="data:image/png;base64,{image}"></figure>'
    )


def test_the_picture(browser: Browser, open_window: OpenWindow, tmp_path: Path) -> None:
    options = {"viewport": WINDOW, "color_scheme": "light", "bypass_csp": True}
    ada, grace = open_window(1, **options), open_window(2, **options)
    for window in (ada, grace):
        window.is_("live")
        window.shows(FIRST)
    grace.add("A compiler, at last")
    ada.shows([*FIRST, "A compiler, at last"])
    ada.page.get_by_role("button", name="Run a script", exact=True).click()
    grace.shows(["A compiler, at last", *FIRST[::-1]])
    ada.page.get_by_role("button", name="Add fifty rows and roll back").click()
    expect(ada.page.locator("#rollback-result")).not_to_be_empty()
    for window in (ada, grace):
        window.page.evaluate("document.querySelectorAll('.fresh').forEach(row => row.classList.remove('fresh'))")
        window.page.add_style_tag(content=STILL)
    title = grace.page.get_by_label("Title of page 5")
    title.fill("A moth, taped in")
    title.press("Enter")
    for window in (ada, grace):
        expect(window.page.locator("tr.fresh input")).to_have_value("A moth, taped in")
        expect(window.page.locator("#journal li")).to_have_count(4)
        assert window.errors == []

        window.page.mouse.move(0, 0)
        window.page.evaluate("scrollTo(0, 0)")

    path = PICTURE if os.environ.get("UPDATE_PICTURES") else tmp_path / "demo.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    desk = browser.new_page(viewport={"width": 1500, "height": 1100})
    desk.set_content(DESK + photograph(ada) + photograph(grace))
    desk.screenshot(path=path)
    assert 20_000 < path.stat().st_size < 300_000
