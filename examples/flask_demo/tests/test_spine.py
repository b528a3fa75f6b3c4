"""Spine's guide in two windows of a real Chromium: what one writes is in the other, and in neither twice."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import TimeoutError

from examples.conftest import OpenWindow, Window
from examples.flask_demo.spine import PACKAGES, SCRIPTS
from examples.flask_demo.tests.conftest import FIRST, Demo

pytestmark = pytest.mark.browser

SHOWN = "[...document.querySelectorAll('#pages input')].map(input => input.value)"


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Where npm's packages are not installed there is nothing to test."""
    if not all((PACKAGES / path).exists() for path in SCRIPTS.values()):
        missing = 'NO SPINE, so its application was not tried: "make node_modules/.installed" installs it.'
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def shows(window: Window, titles: list[str]) -> None:
    try:
        window.page.wait_for_function(f"wanted => JSON.stringify({SHOWN}) === JSON.stringify(wanted)", arg=titles)
    except TimeoutError:
        assert (window.page.evaluate(SHOWN), window.errors) == (titles, [])
        raise


def test_what_one_window_writes_is_in_the_other(open_window: OpenWindow, demo: Demo) -> None:
    ada, grace = open_window(1, "/spine/"), open_window(2, "/spine/")
    for window in (ada, grace):
        shows(window, FIRST)
    ada.add("By Ada")
    for window in (ada, grace):
        shows(window, [*FIRST, "By Ada"])
    grace.page.locator("#pages input").first.fill("By Grace")
    grace.page.locator("#pages input").first.press("Enter")
    for window in (ada, grace):
        shows(window, ["By Grace", *FIRST[1:], "By Ada"])
    ada.page.locator("#pages li button").nth(1).click()
    demo.write("db.session.execute(update(Page).where(Page.title == 'The mill').values(title='By a script'))")
    expected = ["By Grace", "By a script", *FIRST[3:], "By Ada"]
    for window in (ada, grace):
        shows(window, expected)
    assert demo.read("title") == expected
    for window in (ada, grace):
        assert window.errors == []
        window.was_not_reloaded()


def test_who_has_not_signed_in_sees_nothing_of_it(open_window: OpenWindow, demo: Demo) -> None:
    stranger = open_window(None, "/spine/")
    assert stranger.page.url == demo.url + "/"
    for method, path in [("POST", "pages"), ("PUT", "pages/1"), ("DELETE", "pages/1")]:
        answer = stranger.page.request.fetch(f"{demo.url}/spine/{path}", method=method, data={"title": "x"})
        assert answer.status == 403
    assert stranger.page.request.get(f"{demo.url}/spine/scripts/package.json").status == 404
    assert demo.read("title") == FIRST
