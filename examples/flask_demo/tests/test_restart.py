"""The server goes and comes back while the rows change: every open window equals the table again, without a reload."""

from __future__ import annotations

import signal

import pytest
from playwright.sync_api import expect

from examples.conftest import Window
from examples.flask_demo.tests.conftest import FIRST, Demo
from tests.support.browser import HASTE

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_windows_equal_the_table_after_a_restart(demo: Demo, ada: Window, grace: Window, by: signal.Signals) -> None:
    windows = (ada, grace)
    for window in windows:
        window.page.evaluate(HASTE)
    ada.add("Before")
    for window in windows:
        window.shows([*FIRST, "Before"])

    demo.stop(by)
    for window in windows:
        window.is_("offline")
    demo.write(
        """
db.session.execute(delete(Page).where(Page.title == "The store"))
db.session.execute(update(Page).where(Page.title == "The mill").values(title="The mill, rebuilt", edited_by="Grace"))
db.session.add(Page(project_id=1, position=0, title="Meanwhile", edited_by="Ada", private_notes="x"))
"""
    )
    # Long enough that both have tried in vain, more than once.
    for window in windows:
        for _ in range(2):
            window.page.wait_for_event("websocket")
        window.is_("offline")

    demo.start()
    now = demo.read("title")
    assert now == ["Meanwhile", *FIRST[:2], "The mill, rebuilt", *FIRST[4:], "Before"]
    for window in windows:
        window.shows(now)
        window.is_("live")

    # And live, not only caught up.
    grace.add("After")
    for window in windows:
        window.shows([*now, "After"])
        window.was_not_reloaded()


def test_a_window_that_opens_while_nobody_broadcasts_waits_for_somebody(demo: Demo, ada: Window) -> None:
    """It loads the client from the broadcaster; without it every button would be dead."""
    before = len(demo.process.lines)
    ada.page.get_by_role("button", name="Kill the broadcaster").click()
    expect(ada.page.locator("#status")).not_to_have_attribute("data-state", "live")
    ada.page.reload()
    ada.is_("live")
    assert any("has ended (-9)" in line for line in demo.process.lines[before:])
    ada.page.get_by_role("button", name="Delete The store").click()
    expect(ada.page.get_by_role("button", name="Delete The store")).to_have_count(0)


def test_a_page_whose_broadcaster_dies_while_it_loads_says_so(ada: Window) -> None:
    ada.page.route("**/realtime/realtime.js", lambda route: route.abort(), times=1)
    ada.page.reload()
    expect(ada.page.locator("#notice")).to_contain_text("Load it again.")
    ada.page.reload()
    ada.is_("live")
