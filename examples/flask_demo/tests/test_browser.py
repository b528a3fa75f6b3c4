"""Two people at two real browsers: what one commits the other sees, whole, without a reload; nothing else arrives."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from examples.conftest import OpenWindow, Window
from examples.flask_demo.tests.conftest import FIRST, Demo

pytestmark = pytest.mark.browser


def test_a_row_appears_changes_and_vanishes_in_the_other_window(ada: Window, grace: Window) -> None:
    ada.shows(FIRST)
    grace.shows(FIRST)

    ada.add("Note <b>G</b>")
    grace.shows([*FIRST, "Note <b>G</b>"])

    title = ada.page.locator("input.title").last
    title.fill("Note G, for good")
    title.press("Enter")
    grace.shows([*FIRST, "Note G, for good"])

    grace.page.get_by_role("button", name="Delete Note G, for good").click()
    ada.shows(FIRST)
    grace.shows(FIRST)
    for window in (ada, grace):
        window.was_not_reloaded()
        assert window.errors == []


def test_the_chip_says_over_what_and_the_journal_whose_commit_it_was(ada: Window, grace: Window) -> None:
    expect(ada.page.locator("#status")).to_have_text("Live · WebSocket")
    expect(ada.page.locator("#status")).to_have_attribute("title", "Live, over WebSocket.")
    ada.add("Note G")
    for window, words in ((ada, "1 change in one frame, yours"), (grace, "1 change in one frame")):
        window.shows([*FIRST, "Note G"])
        expect(window.page.locator("#journal li strong").first).to_have_text(words)
    assert ["origin" in window.commits[0] for window in (ada, grace)] == [True, False]


def test_who_is_here_and_who_is_writing(ada: Window, grace: Window) -> None:
    for window in (ada, grace):
        expect(window.page.locator("#here")).to_contain_text("2 people here")
        expect(window.page.locator("#here .avatar")).to_have_count(2)
    grace.page.locator("#add input").press_sequentially("Not")
    expect(ada.page.locator("#here")).to_contain_text("Grace is writing")
    expect(grace.page.locator("#here")).not_to_contain_text("writing")
    expect(ada.page.locator("#here")).not_to_contain_text("writing")
    grace.page.reload()
    expect(grace.page.locator("#here")).to_contain_text("2 people here")
    grace.page.close()
    expect(ada.page.locator("#here")).to_contain_text("1 person here")
    assert ada.errors == []


def test_a_click_signs_in(demo: Demo, open_window: OpenWindow) -> None:
    window = open_window(None, "/")
    window.page.get_by_role("button", name="Grace").click()
    window.shows(FIRST)
    expect(window.page.get_by_role("button", name="Grace", pressed=True)).to_be_visible()
    window.page.get_by_role("button", name="Ada").click()
    expect(window.page.get_by_role("button", name="Ada", pressed=True)).to_be_visible()
    window.shows(FIRST)


def test_nothing_of_a_rollback_arrives(ada: Window, grace: Window) -> None:
    ada.page.get_by_role("button", name="Add fifty rows and roll back").click()
    expect(ada.page.locator("#rollback-result")).to_have_text("50 INSERTed, 0 arrived.")
    # What is committed afterwards comes after whatever had come of it.
    ada.add("The next one")
    for window in (ada, grace):
        window.shows([*FIRST, "The next one"])
        assert [len(commit["changes"]) for commit in window.commits] == [1]
        assert not any("Ghost" in frame for frame in window.frames)


def test_a_transaction_of_a_script_is_one_frame(ada: Window, grace: Window) -> None:
    ada.page.get_by_role("button", name="Run a script", exact=True).click()
    for window in (ada, grace):
        window.shows(FIRST[::-1])
        assert [len(commit["changes"]) for commit in window.commits] == [len(FIRST)]
        line = window.page.locator("#journal li").first
        expect(line).to_contain_text(f"commit {window.commits[0]['commit']}")
        expect(line).to_contain_text("6 changes in one frame")
    expect(ada.page.locator("#script-result")).to_have_text("6 rows, one commit.")


def test_private_notes_never_arrive(demo: Demo, ada: Window) -> None:
    ada.add("With notes of its own")
    ada.shows([*FIRST, "With notes of its own"])
    ada.page.get_by_role("button", name="Run a script", exact=True).click()
    ada.shows(["With notes of its own", *FIRST[::-1]])
    notes = demo.read("private_notes")
    assert len(notes) == 7
    assert all(notes)
    received = "\n".join(ada.frames)
    assert "Cards for the numbers" in received
    assert "private" not in received
    # The text, too, under whatever name: JSON does not escape any of it.
    assert "alone" not in received
    assert not [note for note in notes if note in received]


def test_grace_is_refused_what_is_not_hers(demo: Demo, open_window: OpenWindow) -> None:
    window = open_window(2, "/projects/2")
    window.is_("refused")
    expect(window.page.get_by_role("heading", name="Not for Grace")).to_be_visible()
    expect(window.page.locator("#reason")).to_contain_text("There is no such channel, or it is not for you.")
    expect(window.page.locator("#rows")).to_be_hidden()

    ada = open_window(1, "/projects/2")
    letters = demo.read("title", 2)
    ada.shows(letters)
    ada.add("A third letter")
    ada.shows([*letters, "A third letter"])
    # A barrier: whatever was sent to Grace before this answer is here by now.
    window.page.get_by_role("link", name="Back to the project that is yours").click()
    window.shows(FIRST)
    seen = "\n".join([*window.frames, window.page.content()])
    assert not [title for title in demo.read("title", 2) if title in seen]
    assert "notebook" not in seen
    assert window.errors == []


def test_nothing_is_loaded_from_elsewhere(demo: Demo, ada: Window) -> None:
    ada.page.locator("summary").click()
    expect(ada.page.locator(".drawer")).to_contain_text("def may_join(user: User | None, project_id: int) -> bool:")
    expect(ada.page.locator(".drawer")).to_contain_text("keeps: private_notes")
    assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in ada.requests} == demo.origins
    assert ada.errors == []


def test_whoever_types_is_not_interrupted(ada: Window, grace: Window) -> None:
    typing = ada.page.get_by_label("Title of page 3")
    typing.fill("The mill, rev")
    grace.page.get_by_role("button", name="Run a script", exact=True).click()
    ada.shows(["What it may compose", "A moth in relay 70", "The store", "The mill, rev", *FIRST[1::-1]])
    expect(typing).to_be_focused()
    assert len(ada.commits) == 1

    typing.press("End")
    typing.press_sequentially("isited")
    typing.press("Enter")
    grace.shows(["What it may compose", "A moth in relay 70", "The store", "The mill, revisited", *FIRST[1::-1]])


def test_a_refused_title_is_said_and_taken_back(ada: Window) -> None:
    title = ada.page.get_by_label("Title of page 3")
    title.fill("   ")
    title.press("Enter")
    expect(ada.page.locator("#notice")).to_have_text("A title has 1 to 120 characters.")
    ada.shows(FIRST)


def test_side_by_side(demo: Demo, open_window: OpenWindow) -> None:
    window = open_window(1, "/both", viewport={"width": 1600, "height": 900})
    first, second = (window.page.frame_locator(f"iframe[title='{name} window']") for name in ("First", "Second"))
    expect(first.locator("#rows tr")).to_have_count(6)
    expect(second.locator("#rows tr")).to_have_count(6)
    first.get_by_role("button", name="Delete The store").click()
    expect(second.locator("#rows tr")).to_have_count(5)
    assert window.errors == []


def test_the_second_window_can_be_somebody_else(ada: Window) -> None:
    """In one browser: the machine's other name has a cookie of its own."""
    with ada.page.expect_popup() as opened:
        ada.page.get_by_role("link", name="Second window").click()
    second = opened.value
    second.get_by_role("button", name="Grace").click()
    expect(second.locator("#rows tr")).to_have_count(len(FIRST))
    second.get_by_role("button", name="Delete The store").click()
    expect(ada.page.locator("#rows tr")).to_have_count(len(FIRST) - 1)
    ada.page.reload()
    ada.is_("live")
    expect(ada.page.get_by_role("button", name="Ada", pressed=True)).to_be_visible()


def test_nobody_can_be_chosen_before_the_script_is_there(open_window: OpenWindow, demo: Demo) -> None:
    """A click that comes sooner would be lost without a word."""
    page = open_window(None, "/").page
    held: list[Route] = []
    page.route("**/sign-in.js", lambda route: held.append(route), times=1)
    with page.expect_request("**/sign-in.js"):
        page.goto(demo.url, wait_until="commit")
    grace = page.get_by_role("button", name="Grace")
    expect(grace).to_be_disabled()
    held[0].continue_()
    grace.click()
    expect(page.locator("#rows tr")).to_have_count(len(FIRST))


def test_nothing_can_be_clicked_before_the_script_is_there(open_window: OpenWindow) -> None:
    page = open_window(1).page
    held: list[Route] = []
    page.route("**/table.js", lambda route: held.append(route), times=1)
    with page.expect_request("**/table.js"):
        page.reload(wait_until="commit")
    buttons = page.locator("#project").get_by_role("button")
    expect(buttons).to_have_count(5)
    for button in buttons.all():
        expect(button).to_be_disabled()
    held[0].continue_()
    page.get_by_role("button", name="Add fifty rows and roll back").click()
    expect(page.locator("#rollback-result")).to_have_text("50 INSERTed, 0 arrived.")
