"""What a browser brings along, without a line of our JavaScript: EventSource and fetch, on a page of another origin too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from sqla_realtime.transports import sse
from tests.support.browser import chromium
from tests.support.processes import free_ports
from tests.support.scene import PAGES, Scene

pytestmark = pytest.mark.browser

Make = Callable[..., Scene]

# Rows as PROTOCOL.md has them applied; everything that a page could see is kept.
LISTEN = """
url => {
    window.rows = {}
    window.heard = []
    window.source = new EventSource(url, {withCredentials: true})
    const apply = changes => changes.forEach(change => {
        if (change.type === "destroy") delete rows[change.id]
        else rows[change.id] = change.record
    })
    source.onmessage = event => {
        const message = JSON.parse(event.data)
        heard.push([message.type ?? "commit", event.lastEventId])
        for (const item of message.type === "subscribed" ? message.channels : []) {
            if (item.recovered) heard.push(["recovered", event.lastEventId])
            else rows = Object.fromEntries(item.rows.map(row => [row.id, row.record]))
        }
        for (const commit of message.commits ?? []) apply(commit.changes)
        if (message.commit) apply(message.changes)
    }
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setattr(sse, "RETRY_MS", (20, 50))
    page = browser.new_page()
    yield page
    page.close()


def shows(page: Page, made: Scene) -> None:
    """Wait until the page's rows are the table's."""
    wanted = {key: record for (_, key), record in made.rows().items()}
    page.wait_for_function(
        "wanted => JSON.stringify(Object.entries(rows).sort()) === JSON.stringify(Object.entries(wanted).sort())", arg=wanted
    )


def cut(made: Scene) -> None:
    """Break every stream of the server's, as a network does."""
    runner = made.realtime._runner
    assert runner is not None

    async def drop() -> None:
        made.server._lobby.drop()

    asyncio.run_coroutine_threadsafe(drop(), runner._loop).result(20)


def heard(page: Page, kind: str) -> list[str]:
    """The last event ids with which messages of a kind have come."""
    messages: list[list[str]] = page.evaluate("heard")
    return [last for each, last in messages if each == kind]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_eventsource_that_is_cut_misses_nothing(scene: Make, page: Page, name: str) -> None:
    """On a page of the server's own origin, which a GET does not name, and on one of another."""
    made = scene()
    made.write()
    page.goto(f"http://{name}:{made.port}/")
    page.evaluate(LISTEN, f"http://127.0.0.1:{made.port}/realtime/sse?channel={PAGES}")
    shows(page, made)
    made.write()
    shows(page, made)
    for times in range(1, 4):
        cut(made)
        for _ in range(3):
            made.write()
        shows(page, made)
        page.wait_for_function("times => heard.filter(([kind]) => kind === 'recovered').length === times", arg=times)
    assert len(heard(page, "subscribed")) == 4
    assert page.evaluate("heard.at(-1)[1]") == str(made.server.hub.position)
    made.doubt()
    shows(page, made)
    assert len(heard(page, "reset")) == 1
    made.write()
    shows(page, made)


def test_an_eventsource_outlives_the_server(scene: Make, page: Page) -> None:
    made = scene(port=free_ports(1)[0])
    page.goto(f"http://127.0.0.1:{made.port}/")
    page.evaluate(LISTEN, f"/realtime/sse?channel={PAGES}")
    made.write()
    shows(page, made)
    made.realtime.stop()
    page.wait_for_function("heard.some(([kind]) => kind === 'bye')")
    made.write()
    made.realtime.start()
    shows(page, made)
    made.write()
    shows(page, made)


FETCH = """
async ([url, body]) => {
    const response = await fetch(url, {method: "POST", body, credentials: "include"})
    return [response.status, await response.text()]
}
"""


def test_fetch_reads_answers_and_refusals_across_origins(scene: Make, page: Page) -> None:
    made = scene()
    made.write()
    page.goto(f"http://localhost:{made.port}/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))

    def fetch(path: str, body: Any) -> tuple[int, Any]:
        status, text = page.evaluate(FETCH, [f"http://127.0.0.1:{made.port}/realtime/{path}", body])
        return status, json.loads(text)

    messages = [{"type": "hello"}, {"type": "subscribe", "id": 1, "channels": [PAGES]}]
    status, answer = fetch("poll", json.dumps(messages))
    assert (status, [message["type"] for message in answer]) == (200, ["hello", "subscribed"])
    for path, body, refusal in [
        ("poll", "nonsense", (400, "malformed")),
        ("sse", "x" * 70_000, (413, "too-large")),
        ("send", json.dumps({"connection": "c-" + "x" * 16, "messages": []}), (404, "unknown-connection")),
    ]:
        status, answer = fetch(path, body)
        assert (status, answer["code"]) == refusal
    assert set(asked) == {"POST"}, "text/plain needs no preflight"
