"""Two people at two real browsers, and two workers of uvicorn's: what any of them commits is seen by everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from playwright.sync_api import expect

from examples.conftest import Example, OpenWindow, Window

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with Example("examples.fastapi_demo", "/", tmp_path_factory.mktemp("demo"), WORKERS="2") as demo:
        # The URL is printed by the process that starts the workers.
        demo.process.printed("Application startup complete")
        yield demo


class Writer:
    """Somebody without a browser. Each request has a connection of its own, so either worker may answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = build_opener(ProxyHandler({}))
        self._cookie = ""
        self._cookie = self._post("/session", user=1)[0].partition(";")[0]

    def add(self, title: str) -> int:
        """Add a note; the worker that did."""
        return int(json.loads(self._post("/notes", title=title)[1])["worker"])

    def _post(self, path: str, **body: object) -> tuple[str, str]:
        headers = {"Content-Type": "application/json", "Cookie": self._cookie}
        request = Request(self._url + path, json.dumps(body).encode(), headers)  # noqa: S310 - an address of our own
        with self._opener.open(request, timeout=20) as answer:
            return answer.headers.get("Set-Cookie", ""), answer.read().decode()


def test_a_row_appears_changes_and_vanishes_in_the_other_window(ada: Window, grace: Window) -> None:
    ada.page.get_by_label("Title of a new note").fill("Note <b>G</b>")
    ada.page.get_by_role("button", name="Add", exact=True).click()
    grace.shows(["Note <b>G</b>"])
    expect(ada.page.locator("#journal li strong").first).to_have_text("1 change in one frame, yours")

    title = grace.page.locator("input.title").last
    title.fill("Note G, for good")
    title.press("Enter")
    ada.shows(["Note G, for good"])
    expect(ada.page.locator("#rows .by")).to_have_text("Grace")

    ada.page.get_by_role("button", name="Delete Note G, for good").click()
    for window in (ada, grace):
        window.shows([])
        window.was_not_reloaded()
        assert window.errors == []
        assert "private" not in "\n".join(window.frames)


def test_what_either_worker_writes_is_seen(demo: Example, ada: Window) -> None:
    writer, titles, workers = Writer(demo.url), list[str](), set[int]()
    while len(workers) < 2:
        titles.append(f"Note {len(titles)}")
        workers.add(writer.add(titles[-1]))
    ada.shows(titles)
    for worker in workers:
        expect(ada.page.locator("#workers")).to_contain_text(str(worker))


def test_whoever_has_not_signed_in_sees_and_writes_nothing(demo: Example, open_window: OpenWindow) -> None:
    window = open_window(None)
    window.is_("refused")
    expect(window.page.locator("#rows")).to_be_hidden()
    request = window.page.context.request
    assert request.post(demo.url + "/notes", data={"title": "Mine"}).status == 401
    assert request.patch(demo.url + "/notes/1", data={"title": "Mine"}).status == 401
    assert request.delete(demo.url + "/notes/1").status == 401
    assert request.post(demo.url + "/token").json() == {"user": None, "token": None}
    assert request.post(demo.url + "/session", data={"user": 3}).status == 400
    # And a click signs in.
    window.page.get_by_role("button", name="Grace").click()
    window.is_("live")
    expect(window.page.get_by_role("button", name="Grace", pressed=True)).to_be_visible()
    window.page.get_by_label("Title of a new note").fill("   ")
    window.page.get_by_role("button", name="Add", exact=True).click()
    expect(window.page.locator("#notice")).to_be_visible()
