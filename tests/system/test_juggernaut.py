"""Juggernaut's client, Spine and jQuery, unmodified, in a real browser: what the ORM commits is in every window."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Route
from playwright.sync_api import Page as Tab
from sqlalchemy import Engine

from sqla_realtime import Realtime
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codes import CloseCode
from tests.support.juggernaut import BACKBONE, BACKBONE_SCRIPTS, Window, home
from tests.support.models import Page, PageOut
from tests.support.processes import free_ports
from tests.support.socketio import Site

pytestmark = pytest.mark.browser

TRANSPORTS = ["websocket", "xhr-polling"]


@pytest.fixture
def site(sqlite: Engine, realtime: Callable[..., Realtime]) -> Site:
    return Site(realtime(port=free_ports(1)[0]), sqlite)


@pytest.fixture(scope="module", name="home")
def an_application_elsewhere() -> Iterator[str]:
    with home() as url:
        yield url


@pytest.fixture
def other(browser: Browser) -> Iterator[Tab]:
    tab = browser.new_page()
    tab.set_default_timeout(20_000)
    yield tab
    tab.close()


@pytest.mark.parametrize("transport", [*TRANSPORTS, "jsonp-polling"])
def test_what_is_created_updated_and_destroyed_is_in_the_window(page: Tab, home: str, site: Site, transport: str) -> None:
    site.write("there before")
    window = Window(page, home, site.port, transport)
    window.shows("there before")
    site.write("one", "two")
    window.shows("there before", "one", "two")
    site.rename("one", "uno \N{SNOWMAN}\N{PILE OF POO}")
    window.shows("there before", "uno \N{SNOWMAN}\N{PILE OF POO}", "two")
    site.remove("two")
    window.shows("there before", "uno \N{SNOWMAN}\N{PILE OF POO}")
    with site.sessions() as session:
        session.add(Page(project_id=1, title="never"))
        session.flush()
        session.rollback()
    site.write("last")
    window.shows("there before", "uno \N{SNOWMAN}\N{PILE OF POO}", "last")
    assert not any("never" in str(message) for message in page.evaluate("told"))
    assert page.evaluate("Page.all().every(page => typeof page.id === 'number')")
    assert page.evaluate("jug.io.socket.transport.name") == transport
    window.check()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_server_is_restarted(page: Tab, home: str, site: Site, transport: str) -> None:
    site.write("one", "two")
    window = Window(page, home, site.port, transport)
    window.shows("one", "two")
    session = window.session
    site.realtime.stop()
    site.rename("one", "uno")
    site.write("three")
    site.realtime.start()
    window.shows("uno", "two", "three")
    site.remove("two")
    window.shows("uno", "three")
    assert window.session != session
    window.check()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_was_missed_while_the_connection_was_gone(page: Tab, home: str, site: Site, transport: str) -> None:
    site.write("one", "two", "three")
    window = Window(page, home, site.port, transport)
    window.shows("one", "two", "three")
    page.route("**/socket.io/1/?t=*", lambda route: route.abort())

    def cut(house: House) -> None:
        for conversation in list(house.conversations):
            conversation.connection.close(CloseCode.RESTARTING)

    runner = site.realtime._runner
    assert runner is not None
    runner.order(cut, 5)
    page.wait_for_function("!jug.io.socket.connected")
    site.remove("one")
    site.rename("two", "zwei")
    site.write("four")
    page.unroute("**/socket.io/1/?t=*")
    window.shows("zwei", "three", "four")
    window.check()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_window_that_writes_has_no_second_record(page: Tab, other: Tab, home: str, site: Site, transport: str) -> None:
    """The commit is told before the POST is answered, when the window does not yet know the id of its own record."""
    window, watching = Window(page, home, site.port, transport), Window(other, home, site.port, transport)
    posted: list[Route] = []
    page.route("**/pages", lambda route: posted.append(route))
    page.evaluate("$.ajaxSetup({ headers: { 'X-Session-ID': jug.sessionID } }); Page.create({ title: 'mine' })")
    page.wait_for_function("$.active === 1")
    while not posted:
        page.wait_for_timeout(1)
    [route] = posted
    with site.realtime.origin(route.request.headers["x-session-id"]), site.sessions.begin() as session:
        made = Page(project_id=1, title=json.loads(route.request.post_data or "")["title"])
        session.add(made)
        session.flush()
        answer = PageOut.model_validate(made, from_attributes=True).model_dump()
    watching.shows("mine")
    site.write("theirs")
    window.shows("mine", "theirs")
    assert [message["record"]["title"] for message in page.evaluate("told")] == ["theirs"]
    route.fulfill(json=answer)
    page.wait_for_function("id => Page.exists(id) && $.active === 0", arg=answer["id"])
    site.rename("mine", "ours")
    window.shows("ours", "theirs")
    watching.shows("ours", "theirs")
    assert page.evaluate("Page.count()") == 2
    assert not window.errors


def test_backbone(page: Tab, home: str, site: Site) -> None:
    site.write("one", "two")
    window = Window(page, home, site.port, "websocket", BACKBONE_SCRIPTS, BACKBONE)
    window.shows("one", "two")
    site.rename("one", "uno")
    site.remove("two")
    site.write("three")
    window.shows("uno", "three")
    window.check()
