"""The server goes and comes back while the rows change: every open window equals the table again, without a reload."""

from __future__ import annotations

import signal

import pytest

from examples.flask_demo.tests.conftest import FIRST, Demo, Window
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
        "DELETE FROM page WHERE title = 'The store'",
        "UPDATE page SET title = 'The mill, rebuilt', edited_by = 'Grace' WHERE title = 'The mill'",
        "INSERT INTO page (project_id, position, title, edited_by, private_notes) VALUES (1, 0, 'Meanwhile', 'Ada', 'x')",
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
