"""Processes come and go beside the demo: a script commits, the broadcaster is killed, the demo is; in real windows, on
SQLite and on the PostgreSQL that the demo brings along."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import Response, expect

from examples.conftest import Window
from examples.flask_demo.tests.conftest import FIRST, Demo
from tests.support.browser import HASTE

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def running_demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    # Not in pytest's folder, which every other run closes to other users: PostgreSQL does not run as root.
    with TemporaryDirectory(prefix="demo-") as folder, Demo(Path(folder), DEMO_DATABASE=request.param) as demo:
        yield demo


@pytest.fixture
def demo(running_demo: Demo) -> Demo:
    """As it is: its database is no file that could be filled anew."""
    return running_demo


def offset(position: str) -> int:
    return int(position.rpartition(".")[2])


class Writes:
    """Where in the log the commits of some windows are, as the answers to their requests have it."""

    def __init__(self, *windows: Window) -> None:
        self.positions: list[int] = []
        for window in windows:
            window.page.on("response", self._note)

    def _note(self, response: Response) -> None:
        position = response.headers.get("x-realtime-position")
        if position:
            self.positions.append(offset(position))


def test_what_another_process_and_a_dead_broadcaster_leave_behind_arrives(demo: Demo, ada: Window, grace: Window) -> None:
    windows = (ada, grace)
    for window in windows:
        window.shows(FIRST)
        window.page.evaluate(HASTE)

    ada.page.get_by_role("button", name="Run a script in another process").click()
    result = ada.page.locator("#elsewhere-result")
    expect(result).to_have_text(re.compile(r"Process \d+ committed one row\."))
    process = re.findall(r"\d+", result.text_content() or "")[0]
    titles = [*FIRST, f"From process {process}"]
    for window in windows:
        window.shows(titles)
        assert [len(commit["changes"]) for commit in window.commits] == [1]

    writes = Writes(*windows)
    ada.page.get_by_role("button", name="Kill the broadcaster").click()
    demo.process.printed(r"The broadcaster has ended \(-9\)")
    grace.add("Grace goes on")
    # What is committed to another channel is none of theirs.
    assert ada.page.context.request.post(demo.url + "/projects/2/pages", data={"title": "Ada's own"}).ok
    for window in windows:
        expect(window.page.locator("#kill-result")).to_have_text(re.compile(r"missed \d+, replayed \d+"))
        (asked,) = [url for url in window.requests if "/missed?" in url]
        after, until = map(offset, re.findall(r"(?:after|until)=([\w.]+)", asked))
        meanwhile = len([position for position in writes.positions if after < position <= until])
        assert meanwhile > 0
        expect(window.page.locator("#kill-result")).to_have_text(f"missed {meanwhile}, replayed {meanwhile}")
        expect(window.page.locator("#journal")).to_contain_text("what this page missed while it was away")

    with_numbers = [f"Committed while it was dead, {number}" for number in (1, 2, 3)]
    expect(ada.page.locator("#rows tr")).to_have_count(len(titles) + 4)
    arrived = ada.page.evaluate("[...document.querySelectorAll('#rows input.title')].map(input => input.value)")
    assert arrived[: len(titles)] == titles
    assert sorted(arrived[len(titles) :]) == sorted([*with_numbers, "Grace goes on"])
    grace.shows(arrived)
    for window in windows:
        window.was_not_reloaded()


def test_nothing_goes_on_when_the_demo_is_killed(demo: Demo) -> None:
    demo.stop(signal.SIGKILL)
    assert demo.process.all_ended
    assert not (demo.folder / "postgres" / "postmaster.pid").exists()
    assert "Traceback" not in demo.process.output
