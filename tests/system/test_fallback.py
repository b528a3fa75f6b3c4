"""The client in a real browser behind proxies that stand in its way: live all the same, and it says over what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.support.browser import HASTE
from tests.support.meddler import Meddler, meddler
from tests.support.processes import free_ports
from tests.support.scene import PAGES, Scene

pytest.importorskip("sqla_realtime.transports.poll", reason="the server has no transport but the WebSocket")

pytestmark = pytest.mark.browser

Make = Callable[..., Scene]

START = """
async channel => {
    const { connect } = await import("/realtime/realtime.js")
    window.client = connect()
    window.pages = client.collection(channel)
    window.began = performance.now()
}
"""
LIVE_OVER = "transport => client.transport === transport && pages.status === 'live'"
SHOWN = "titles => JSON.stringify(pages.rows.map(row => row.title)) === JSON.stringify(titles)"


@pytest.fixture
def made(scene: Make) -> Scene:
    made = scene(port=free_ports(1)[0])
    made.write()
    return made


@pytest.fixture
def proxy(made: Scene) -> Iterator[Meddler]:
    with meddler(made.port) as proxy:
        yield proxy


def visit(page: Page, proxy: Meddler) -> None:
    page.goto(f"http://127.0.0.1:{proxy.port}/")
    page.evaluate(HASTE)
    page.evaluate(START, PAGES)


def live_over(page: Page, made: Scene, transport: str) -> None:
    """It is live over this transport, and a commit appears."""
    page.wait_for_function(LIVE_OVER, arg=transport)
    made.write()
    page.wait_for_function(SHOWN, arg=made.written)


def test_where_nothing_is_in_the_way_it_is_a_websocket(page: Page, proxy: Meddler, made: Scene) -> None:
    visit(page, proxy)
    live_over(page, made, "websocket")
    assert page.evaluate("client.reason.message") == "Live, over WebSocket."
    assert not any(part in request for request in proxy.seen for part in ("/sse", "/poll", "sse.js", "poll.js"))


@pytest.mark.parametrize("swallowed", [False, True])
def test_websockets_that_are_refused(page: Page, proxy: Meddler, made: Scene, swallowed: bool) -> None:
    proxy.upgrades, proxy.swallowed = False, swallowed
    visit(page, proxy)
    live_over(page, made, "sse")
    assert page.evaluate("client.reason.message") == "Live, over SSE because WebSocket does not get through."
    page.evaluate("window.more = client.collection('projects/2/pages')")
    page.wait_for_function("more.status === 'live'")
    assert proxy.seen.count("POST /realtime/sse") == 1
    assert proxy.seen.count("POST /realtime/send") == 1


def test_then_a_stream_that_is_buffered(page: Page, proxy: Meddler, made: Scene) -> None:
    proxy.upgrades, proxy.held = False, ("/sse",)
    visit(page, proxy)
    live_over(page, made, "poll")
    live_over(page, made, "poll")
    assert page.evaluate("client.reason.message") == "Live, over long-poll because WebSocket and SSE do not get through."
    assert page.evaluate("client.reason.fix")
    assert page.evaluate("performance.now() - began") < 10_000

    # The next page in this tab does not try in vain.
    proxy.seen.clear()
    visit(page, proxy)
    live_over(page, made, "poll")
    assert "POST /realtime/sse" not in proxy.seen
    assert "GET /realtime/ws" not in proxy.seen

    # Something has changed: better ones are tried beside the poll.
    page.evaluate("[window.first] = pages.rows")
    proxy.upgrades = True
    page.evaluate("window.dispatchEvent(new Event('online'))")
    live_over(page, made, "websocket")
    assert page.evaluate("pages.rows[0] === first"), "the rows have stayed"


def test_every_transport_comes_back_with_the_server(page: Page, proxy: Meddler, made: Scene) -> None:
    for transport, upgrades, held in [("websocket", True, ()), ("sse", False, ()), ("poll", False, ("/sse",))]:
        proxy.upgrades, proxy.held = upgrades, held
        page.goto("about:blank")
        visit(page, proxy)
        page.evaluate("sessionStorage.clear()")
        live_over(page, made, transport)
        made.realtime.stop()
        page.wait_for_function("client.status === 'offline'")
        made.write()
        made.realtime.start()
        page.wait_for_function(SHOWN, arg=made.written)
        page.wait_for_function("client.status === 'live'")


def test_own_writes_are_known_over_each_transport(page: Page, proxy: Meddler, made: Scene) -> None:
    for transport, upgrades, held in [("websocket", True, ()), ("sse", False, ()), ("poll", False, ("/sse",))]:
        proxy.upgrades, proxy.held = upgrades, held
        page.goto("about:blank")
        visit(page, proxy)
        live_over(page, made, transport)
        assert page.evaluate("client.connection") in [connection.id for connection in made.connections]
