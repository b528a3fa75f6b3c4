"""Juggernaut's client, Spine and jQuery, unmodified, in a real browser: what the ORM commits is in every window."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Route
from playwright.sync_api import Page as Tab
from pydantic import create_model
from sqlalchemy import BigInteger, Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.juggernaut import RESERVED
from tests.support.juggernaut import BACKBONE, BACKBONE_SCRIPTS, SCRIPTS, Window, home
from tests.support.models import Account, Page, PageOut
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


@pytest.mark.parametrize(("transport", "broker"), [("websocket", "memory"), ("xhr-polling", "database")])
def test_the_server_is_restarted(
    page: Tab, home: str, sqlite: Engine, realtime: Callable[..., Realtime], transport: str, broker: str
) -> None:
    site = Site(realtime(port=free_ports(1)[0], broker=broker), sqlite)
    site.write("one", "two")
    if broker == "database":
        site.write("gone by then")
    window = Window(page, home, site.port, transport)
    window.shows("one", "two", *(["gone by then"] if broker == "database" else []))
    session = window.session
    site.realtime.stop()
    site.rename("one", "uno")
    site.write("three")
    if broker == "database":  # a log in memory goes with its server
        site.remove("gone by then")
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


class Keyed(DeclarativeBase):
    """Models whose keys and fields are such that Spine could not have them as they are."""


class Named(Keyed):
    __tablename__ = "named"
    number: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    title: Mapped[str]


class Pair(Keyed):
    __tablename__ = "pair"
    left: Mapped[str] = mapped_column(primary_key=True)
    right: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Big(Keyed):
    __tablename__ = "big"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    title: Mapped[str]


class Zero(Keyed):
    __tablename__ = "zero"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


ROWS: list[tuple[type[Keyed], dict[str, Any], str, dict[str, Any]]] = [
    (Named, {"number": 5, "url": "/5"}, "5", {"id": "5", "number": 5, "url_": "/5"}),
    (Pair, {"left": "a,b", "right": 2}, "a%2Cb,2", {"id": "a%2Cb,2", "left": "a,b", "right": 2}),
    (Big, {"id": 2**53 + 1}, "9007199254740993", {"id": "9007199254740993"}),
    (Zero, {"id": 0}, "0", {"id": "0"}),
]
DECLARE = """
models => {
    for (const [name, fields] of models) {
        window[name] = Spine.Model.sub()
        window[name].configure(name, ...fields)
        window[name].extend(Spine.Model.Ajax)
    }
}
"""


def test_keys_and_fields_that_spine_could_not_have_as_they_are(
    page: Tab, home: str, sqlite: Engine, realtime: Callable[..., Realtime]
) -> None:
    made, sessions = realtime(port=free_ports(1)[0]), sessionmaker(sqlite)
    Keyed.metadata.create_all(sqlite)
    for model, _, _, _ in ROWS:
        fields: dict[str, Any] = {column.key: (column.type.python_type, ...) for column in model.__table__.columns}
        schema = create_model(f"{model.__name__}Out", **fields)
        made.publish(model, schema=schema, channel=model.__name__, join=anyone, alias="/observer")
    made.enable(sessions)
    made.start()
    window = Window(page, home, made.port, "websocket")
    page.evaluate(DECLARE, [(model.__name__, [*record, "title"]) for model, _, _, record in ROWS])
    page.evaluate("jug.subscribe('/observer', () => {})")  # what it asks for twice it has once
    for title in ("new", "changed"):
        with sessions.begin() as session:
            for model, row, _, _ in ROWS:
                session.merge(model(**row, title=title))
        for model, _, key, record in ROWS:
            there = "([name, key, title]) => window[name].find(key)?.title === title"
            page.wait_for_function(there, arg=[model.__name__, key, title])
            shown = page.evaluate("([name, key]) => window[name].find(key).attributes()", [model.__name__, key])
            assert shown == record | {"title": title}
            assert page.evaluate("name => window[name].count()", model.__name__) == 1
    with sessions.begin() as session:
        for model, row, _, _ in ROWS:
            session.delete(session.merge(model(**row)))
    names = [model.__name__ for model, _, _, _ in ROWS]
    page.wait_for_function("names => names.every(name => window[name].count() === 0)", arg=names)
    window.check()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_channel_that_is_not_for_the_window_ends_nothing(page: Tab, home: str, site: Site, transport: str) -> None:
    window = Window(page, home, site.port, transport)
    page.evaluate("""() => {
        jug.io.on("connect_failed", reason => { window.refused = reason })
        jug.subscribe("/accounts", message => told.push(message))
    }""")
    page.wait_for_function("window.refused === 'unauthorized'")
    with site.sessions.begin() as session:
        session.add(Account(id=1, balance=1))
    site.write("one")
    window.shows("one")
    assert {message["class"] for message in page.evaluate("told")} == {"Page"}
    window.check()


def test_a_record_that_the_window_refuses_is_missing_there_and_nothing_else(page: Tab, home: str, site: Site) -> None:
    site.write("zero")
    window = Window(page, home, site.port, "websocket")
    window.shows("zero")  # it has joined: rows that it begins with come as pairs, of which it would refuse another one
    page.evaluate("() => { Page.include({ validate() { if (this.title === 'refused') return 'not this one' } }) }")
    site.write("refused", "one")
    window.shows("zero", "one")
    with site.sessions.begin() as session:
        session.query(Page).filter_by(title="refused").one().size = 8
    site.write("two")
    window.shows("zero", "one", "two")
    [error] = window.errors
    assert "updateAttributes" in error, "the handler finds nothing to update"


def test_what_spine_would_call_instead_of_setting_it_is_known(page: Tab, home: str, site: Site) -> None:
    Window(page, home, site.port, "websocket", [*SCRIPTS, "spine/lib/relation.js", "spine/lib/local.js"])
    methods = """() => {
        const names = new Set(["__proto__"])
        for (let each = new Page(); each; each = Object.getPrototypeOf(each))
            for (const name of Object.getOwnPropertyNames(each))
                if (name !== "__proto__" && typeof each[name] === "function") names.add(name)
        return [...names]
    }"""
    assert set(page.evaluate(methods)) | {"_callbacks", "cid"} == RESERVED


def test_backbone(page: Tab, home: str, site: Site) -> None:
    site.write("one", "two")
    window = Window(page, home, site.port, "websocket", BACKBONE_SCRIPTS, BACKBONE)
    window.shows("one", "two")
    site.rename("one", "uno")
    site.remove("two")
    site.write("three")
    window.shows("uno", "three")
    window.check()
