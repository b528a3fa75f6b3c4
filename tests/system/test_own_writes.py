"""A page's own writes, its rights and its token, in a real browser over each transport that the server has."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine

from sqla_realtime import Identity, Realtime
from tests.support.browser import HASTE
from tests.support.models import Page as Row
from tests.support.models import PageOut
from tests.support.scene import PAGES, SECRET, Scene

pytest.importorskip("sqla_realtime.capture.origin", reason="the server knows nobody's own writes")

pytestmark = pytest.mark.browser

TRANSPORTS = ["websocket", *(name for name in ("sse", "poll") if find_spec(f"sqla_realtime.transports.{name}"))]
CLUB = "clubs/1"

START = """
async ([transport, channels, tokens]) => {
    const { connect } = await import("/realtime/realtime.js")
    window.told = []
    const token = () => (tokens.length > 1 ? tokens.shift() : tokens[0])
    window.client = connect({ transports: [transport], token })
    window.collections = channels.map(name => client.collection(name))
    client.on("status", status => told.push(status))
    for (const collection of collections) {
        collection.on("change", ({ own }) => told.push(own ? "own" : "other"))
        collection.on("rows", rows => told.push(rows.map(row => row.title)))
    }
}
"""
LIVE = "client.status === 'live' && collections.every(collection => collection.status === 'live')"


class Club(Scene):
    """Rows that only members see."""

    def __init__(self, realtime: Realtime, engine: Engine) -> None:
        super().__init__(realtime, engine)
        self.members = {"7"}
        realtime.publish(Row, schema=PageOut, channel="clubs/{project_id}")

        @realtime.channel("clubs/{project_id}")
        def may_join(user: Identity | None, project_id: int) -> bool:
            return user is not None and user.id in self.members


@pytest.fixture
def club(ear: Any, sqlite: Engine, realtime: Callable[..., Realtime]) -> Club:
    made = Club(realtime(secret=SECRET), sqlite)
    made.realtime.start()
    return made


def visit(page: Page, made: Scene, transport: str, channels: list[str], tokens: list[str]) -> None:
    page.goto(f"http://127.0.0.1:{made.port}/")
    page.evaluate(HASTE)
    page.evaluate(START, [transport, channels, tokens])
    page.wait_for_function(LIVE)
    assert page.evaluate("client.transport") == transport


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_writes_knows_its_own_commit_and_waits_for_it(page: Page, browser: Browser, club: Club, transport: str) -> None:
    other = browser.new_page()
    visit(other, club, transport, [PAGES], [])
    visit(page, club, transport, [PAGES], [])
    connection = page.evaluate("client.headers['X-Realtime-Connection']")
    with club.realtime.origin(connection) as author:
        club.write()
    position = str(author.position())
    page.evaluate("position => client.reached(position)", position)
    assert page.evaluate("told.slice(-2)") == ["own", club.written]
    other.wait_for_function("told.length > 3")
    assert other.evaluate("told.slice(-2)") == ["other", club.written]
    other.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_commit_in_none_of_its_channels_is_reached_too(page: Page, club: Club, transport: str) -> None:
    visit(page, club, transport, [PAGES], [])
    with club.realtime.origin(page.evaluate("client.connection")) as author:
        club.write(project=2)
    page.evaluate("position => client.reached(position)", str(author.position()))
    assert page.evaluate("collections[0].rows.length") == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_token_that_ends_is_followed_by_another_and_nothing_is_lost(page: Page, club: Club, transport: str) -> None:
    tokens = [club.realtime.token(7, expires_in=2), club.realtime.token(7)]
    visit(page, club, transport, [CLUB], tokens)
    club.write()
    page.wait_for_function("told.includes('connecting')")
    club.write()
    page.wait_for_function(LIVE)
    page.wait_for_function("told.at(-1).length === 2")
    assert page.evaluate("collections[0].rows.map(row => row.title)") == club.written
    assert page.evaluate("told.includes('offline')") is False


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_right_that_is_lost_takes_the_rows_along(page: Page, club: Club, transport: str) -> None:
    club.write()
    visit(page, club, transport, [PAGES, CLUB], [club.realtime.token(7)])
    club.realtime.recheck(channel=CLUB)
    club.write()
    page.wait_for_function("collections.every(collection => collection.rows.length === 2)")
    club.members.clear()
    club.realtime.revoke(user=7)
    page.wait_for_function("collections[1].status === 'refused'")
    assert page.evaluate("collections[1].rows") == []
    club.write()
    page.wait_for_function("collections[0].rows.length === 3")
    assert page.evaluate("collections[0].status") == "live"
