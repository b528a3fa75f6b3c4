"""Juggernaut's client, Spine and jQuery, unmodified, in a real browser: what the ORM commits is in every window."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone
from tests.support.juggernaut import Window
from tests.support.models import Page, PageOut, Project
from tests.support.processes import free_ports

pytestmark = pytest.mark.browser

TRANSPORTS = ["websocket", "xhr-polling"]


class Site:
    """Pages that anybody may see under the guide's channel."""

    def __init__(self, realtime: Realtime, engine: Engine) -> None:
        self.realtime = realtime
        self.sessions: sessionmaker[Session] = sessionmaker(engine)
        realtime.publish(Page, schema=PageOut, channel="pages", join=anyone, alias="/observer")
        realtime.enable(self.sessions)
        with self.sessions.begin() as session:
            session.add(Project(id=1))
        realtime.start()

    def write(self, *titles: str) -> None:
        with self.sessions.begin() as session:
            session.add_all(Page(project_id=1, title=title) for title in titles)

    def rename(self, old: str, new: str) -> None:
        with self.sessions.begin() as session:
            session.query(Page).filter_by(title=old).one().title = new

    def remove(self, title: str) -> None:
        with self.sessions.begin() as session:
            session.delete(session.query(Page).filter_by(title=title).one())


@pytest.fixture
def site(sqlite: Engine, realtime: Callable[..., Realtime]) -> Site:
    return Site(realtime(port=free_ports(1)[0]), sqlite)


@pytest.fixture
def other(browser: Browser) -> Iterator[Tab]:
    tab = browser.new_page()
    tab.set_default_timeout(20_000)
    yield tab
    tab.close()


@pytest.mark.parametrize("transport", [*TRANSPORTS, "jsonp-polling"])
def test_what_is_created_updated_and_destroyed_is_in_the_other_window(page: Tab, site: Site, transport: str) -> None:
    site.write("there before")
    window = Window(page, site.realtime.port, transport)
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
    window.check()
