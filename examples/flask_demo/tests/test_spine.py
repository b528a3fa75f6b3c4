"""Spine's guide over both of its clients in a real Chromium: what one window writes is in all others, and in none twice."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import expect

from examples.conftest import SHOWN, OpenWindow, Window
from examples.flask_demo.spine import CLIENTS, PACKAGES, SCRIPTS
from examples.flask_demo.tests.conftest import FIRST, Demo

pytestmark = pytest.mark.browser

JUGGERNAUT, PUSHER = "/spine/", "/spine/pusher/"
ROWS = SHOWN.replace("#rows", "tbody")


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Where npm's packages are not installed there is nothing to test."""
    if not all((PACKAGES / path).exists() for scripts in (SCRIPTS, *CLIENTS.values()) for path in scripts.values()):
        missing = 'NO SPINE, so its application was not tried: "make node_modules/.installed" installs it.'
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def show(windows: list[Window], titles: list[str]) -> None:
    """Wait until each has these titles, in this order."""
    for window in windows:
        window.shows(titles, ROWS)


def rename(window: Window, number: int, title: str) -> None:
    """As a person would."""
    field = window.page.locator("tbody input").nth(number)
    field.fill(title)
    field.press("Enter")


def test_windows_over_both_clients_and_over_our_own_agree(open_window: OpenWindow, demo: Demo) -> None:
    ada, grace, ours = open_window(1, JUGGERNAUT), open_window(2, PUSHER), open_window(1)
    windows = [ada, grace, ours]
    show(windows, FIRST)
    ada.add("By Ada")
    show(windows, [*FIRST, "By Ada"])
    grace.add("By Grace")
    show(windows, [*FIRST, "By Ada", "By Grace"])
    rename(grace, 0, "1, by Grace")
    rename(ada, 1, "2, by Ada")
    rename(ours, 2, "3, by our own client")
    ada.page.locator("tbody button").nth(3).click()
    grace.page.locator("tbody button").last.click()
    expected = ["1, by Grace", "2, by Ada", "3, by our own client", *FIRST[4:], "By Ada"]
    show(windows, expected)
    assert demo.read("title") == expected
    for window in windows:
        assert window.errors == []
        window.was_not_reloaded()


@pytest.mark.parametrize("path", [JUGGERNAUT, PUSHER])
def test_a_window_is_not_told_what_it_has_written_and_nobody_what_was_rolled_back(
    open_window: OpenWindow, demo: Demo, path: str
) -> None:
    writer, reader = open_window(1, path), open_window(2, path)
    show([writer, reader], FIRST)
    writer.is_("live")
    writer.add("Not twice")
    show([writer, reader], [*FIRST, "Not twice"])
    writer.page.get_by_role("button", name="roll back").click()
    expect(writer.page.locator("#rollback-result")).to_have_text("50 INSERTed, 0 arrived.")
    rename(reader, 0, "The next")
    show([writer, reader], ["The next", *FIRST[1:], "Not twice"])
    assert any("Not twice" in frame for frame in reader.frames)
    assert not any("Not twice" in frame for frame in writer.frames)
    assert not any("Ghost" in frame for window in (writer, reader) for frame in window.frames)
    if path == PUSHER:
        for window in (writer, reader):
            expect(window.page.locator("#here")).to_have_text("2 people hereAG")


def test_both_clients_have_what_was_committed_while_nobody_broadcast(open_window: OpenWindow, demo: Demo) -> None:
    windows = [open_window(1, JUGGERNAUT), open_window(1, PUSHER)]
    show(windows, FIRST)
    request = windows[0].page.request
    assert request.post(f"{demo.url}/projects/1/kill", data={}).ok
    for window in windows:
        expect(window.page.locator("#status")).not_to_have_attribute("data-state", "live")
    assert request.post(f"{demo.url}/projects/1/pages", data={"title": "Meanwhile"}).ok
    assert request.delete(f"{demo.url}/projects/1/pages/1", data={}).ok
    show(windows, [*FIRST[1:], "Meanwhile"])


def test_who_has_not_signed_in_sees_nothing_of_it(open_window: OpenWindow, demo: Demo) -> None:
    stranger = open_window(None, PUSHER)
    expect(stranger.page.get_by_role("heading")).to_have_text("Who are you?")
    request = stranger.page.request
    for method, path in [("GET", "pages"), ("POST", "pages"), ("PUT", "pages/1"), ("DELETE", "pages/1")]:
        answer = request.fetch(f"{demo.url}/spine/{path}", method=method, data=None if method == "GET" else {"title": "x"})
        assert answer.status == 403
    asked = {"socket_id": "1.1", "channel_name": "presence-observer"}
    assert request.post(f"{demo.url}/pusher/auth", form=asked).status == 403
    assert request.get(f"{demo.url}/spine/scripts/package.json").status == 404
    assert demo.read("title") == FIRST
