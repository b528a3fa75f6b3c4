"""Unmodified pusher-js and laravel-echo in Chromium, on pages of an application that signs for its users."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pusher
import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine
from werkzeug.serving import make_server

from sqla_realtime import Realtime
from tests.support.browser import chromium
from tests.support.processes import free_ports
from tests.support.pusher_site import MODULES, Site
from tests.transports.pusher.test_socket import APP

pytestmark = pytest.mark.browser


@pytest.fixture
def site(realtime: Callable[..., Realtime], sqlite: Engine) -> Site:
    return Site(realtime(pusher=[APP]), sqlite)


@pytest.fixture
def url(site: Site) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, site.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    site.realtime.develop(True)
    site.realtime.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


CONNECT = """
([port, transport]) => {
    window.heard = []
    window.say = (...words) => heard.push(words)
    window.options = {cluster: "", wsHost: "127.0.0.1", wsPort: port, httpHost: "127.0.0.1", httpPort: port, forceTLS: false,
        enabledTransports: [transport]}
    window.pusher = new Pusher("app-key", options)
    pusher.connection.bind("state_change", ({current}) => say(current))
    pusher.bind_global((event, data) => say(event, data))
    window.join = name => pusher.subscribe(name).bind("pusher:subscription_error", ({status}) => say("refused", name, status))
}
"""
WRITE = 'socket => fetch("/write", {method: "POST", headers: {"X-Socket-ID": socket}})'


def await_(page: Page, *words: Any) -> None:
    """Wait until the page has heard something that begins so."""
    page.wait_for_function(
        "words => heard.some(each => JSON.stringify(each.slice(0, words.length)) === JSON.stringify(words))", arg=list(words)
    )


def visitor(browser: Browser, site: Site, url: str, user: str, transport: str = "ws") -> Page:
    page = browser.new_context().new_page()
    page.goto(f"{url}/login/{user}" if user else url)
    page.evaluate(CONNECT, [site.realtime.port, transport])
    return page


SPEAK = """
() => {
    const bound = name => pusher.subscribe(name).bind_global((event, data) => say(name, event, data))
    window.rooms = Object.fromEntries(["projects,1,pages", "private-members,1", "presence-lounge", "cache-news"]
        .map(name => [name, bound(name)]))
    rooms["presence-lounge"].bind("client-typing", (data, { user_id }) => say("from", user_id))
    pusher.connection.bind("error", ({data}) => say("error", data?.code))
    pusher.signin()
    pusher.user.bind("direct", data => say("direct", data))
}
"""


@pytest.mark.parametrize("transport", ["ws", "xhr_streaming", "xhr_polling"])
def test_all_that_there_is_comes_over_each_transport(site: Site, url: str, browser: Browser, transport: str) -> None:
    library = pusher.Pusher(APP["id"], APP["key"], APP["secret"], ssl=False, host="127.0.0.1", port=site.realtime.port)
    ann, bob = (visitor(browser, site, url, user, transport) for user in ("7", "8"))
    ann.evaluate(SPEAK)
    await_(ann, "cache-news", "pusher:cache_miss")
    library.trigger("cache-news", "headline", {"a": 1})
    await_(ann, "cache-news", "headline", {"a": 1})
    bob.evaluate(SPEAK)
    await_(bob, "cache-news", "headline", {"a": 1})
    for page in (ann, bob):
        page.wait_for_function("Object.values(rooms).every(room => room.subscribed)")
        page.wait_for_function("rooms['presence-lounge'].members.count === 2 && pusher.user.serverToUserChannel?.subscribed")
        assert page.evaluate("pusher.connection.connection.transport.name") == transport
    # Rows, by whatever name the channel is known.
    site.write()
    for channel in ("projects,1,pages", "private-members,1"):
        await_(bob, channel, "create")
    # To one user alone.
    library.send_to_user("8", "direct", {"b": 2})
    await_(bob, "direct", {"b": 2})
    # What clients say to each other, and where they may not.
    for channel in ("private-members,1", "presence-lounge", "projects,1,pages"):
        ann.evaluate("channel => rooms[channel].trigger('client-typing', {on: true})", channel)
    await_(ann, "error", 4009)
    await_(bob, "private-members,1", "client-typing", {"on": True})
    await_(bob, "presence-lounge", "client-typing", {"on": True})
    await_(bob, "from", "7")
    assert not bob.evaluate("heard.some(([channel, event]) => channel === 'projects,1,pages' && event === 'client-typing')")
    assert not ann.evaluate("heard.some(words => words.includes('client-typing') || words[0] === 'direct')")
    for page in (ann, bob):
        page.context.close()


def test_who_may_join_joins_and_whose_right_ends_is_out(site: Site, url: str, browser: Browser) -> None:
    ann, bob, stranger = (visitor(browser, site, url, user) for user in ("7", "8", ""))
    for page in (ann, bob, stranger):
        page.evaluate('() => ["private-members,1", "presence-lounge"].forEach(join)')
    for channel in ("private-members,1", "presence-lounge"):
        await_(stranger, "refused", channel, 403)
    for page in (ann, bob):
        page.wait_for_function("pusher.channel('presence-lounge').members.count === 2")
        page.wait_for_function("pusher.channel('private-members,1').subscribed")
    assert ann.evaluate("pusher.channel('presence-lounge').members.get('8').info") == {"name": "User 8"}
    ann.evaluate(WRITE, ann.evaluate("pusher.connection.socket_id"))
    await_(bob, "create")
    ann.evaluate(WRITE, "1.1")
    await_(ann, "create")
    assert ann.evaluate("heard.filter(([event]) => event === 'create').length") == 1, "its own commit came back"
    site.banned.add("7")
    site.realtime.revoke(user="7")
    await_(ann, "refused", "private-members,1", 403)
    site.write()
    bob.wait_for_function("heard.filter(([event]) => event === 'create').length === 3")
    assert ann.evaluate("heard.filter(([event]) => event === 'create').length") == 1
    assert not bob.evaluate("heard.some(([event]) => event === 'connecting')"), "another user's connection was ended"
    assert not stranger.evaluate("heard.some(([event]) => event === 'create')")
    for page in (ann, bob, stranger):
        page.context.close()


def test_a_user_signs_in(site: Site, url: str, browser: Browser) -> None:
    ann = visitor(browser, site, url, "7")
    ann.evaluate("() => { pusher.signin(); pusher.user.bind_global((event, data) => say(event, data)) }")
    ann.wait_for_function("pusher.user.serverToUserChannel?.subscribed")
    assert ann.evaluate("pusher.user.user_data") == {"id": "7", "user_info": {"name": "User 7"}}
    ann.context.close()


ECHO = """
port => {
    window.heard = []
    window.jQuery = undefined
    window.echo = new (Echo.default ?? Echo)({broadcaster: "reverb", key: "app-key", wsHost: "127.0.0.1", wsPort: port,
        forceTLS: false, enabledTransports: ["ws"], namespace: false, authEndpoint: "/pusher/auth"})
    echo.channel("projects,1,pages").listen(".create", data => heard.push(["public", data.class]))
    echo.private("members,1").listen(".create", data => heard.push(["private", data.class]))
    echo.join("lounge").here(users => heard.push(["here", users])).joining(user => heard.push(["joining", user]))
}
"""


def test_laravel_echo(site: Site, url: str, browser: Browser) -> None:
    ann = browser.new_context().new_page()
    ann.goto(f"{url}/login/7")
    ann.evaluate(ECHO, site.realtime.port)
    await_(ann, "here", [{"name": "User 7"}])
    bob = visitor(browser, site, url, "8")
    bob.evaluate('() => pusher.subscribe("presence-lounge")')
    await_(ann, "joining", {"name": "User 8"})
    ann.wait_for_function("echo.connector.pusher.channel('private-members,1').subscribed")
    site.write()
    await_(ann, "public", "Page")
    await_(ann, "private", "Page")
    for page in (ann, bob):
        page.context.close()


# Each makes requests in a way of its own, into which laravel-echo puts the window's name when it is made.
WAYS = {
    "axios/dist/axios.js": 'axios.post("/write")',
    "jquery/dist/jquery.js": 'jQuery.post("/write")',
    "@hotwired/turbo/dist/turbo.es2017-umd.js": """(() => {
        const form = document.body.appendChild(document.createElement("form"))
        form.method = "POST"
        form.action = "/write"
        form.requestSubmit()
    })()""",
}
INTERCEPTING = """
port => {
    window.heard = []
    window.echo = new (Echo.default ?? Echo)({broadcaster: "reverb", key: "app-key", wsHost: "127.0.0.1", wsPort: port,
        forceTLS: false, enabledTransports: ["ws"]})
    echo.channel("projects,1,pages")
    echo.connector.pusher.channel("projects,1,pages").bind_global((event, data) => heard.push([event, data?.id]))
}
"""


def test_laravel_echo_says_which_window_writes(site: Site, url: str, browser: Browser) -> None:
    writer, other = (browser.new_context().new_page() for _ in range(2))
    for page in (writer, other):
        page.goto(url)
        for script in WAYS:
            page.add_script_tag(path=MODULES / script)
        page.evaluate(INTERCEPTING, site.realtime.port)
        await_(page, "pusher:subscription_succeeded")
    for number, way in enumerate(WAYS.values(), 1):
        writer.evaluate(way)
        await_(other, "create", str(number))
    site.write()
    await_(writer, "create", "4")
    assert writer.evaluate("heard.filter(([event]) => event === 'create').length") == 1, "its own commits came back"
    for page in (writer, other):
        page.context.close()


# No transport is chosen, and nobody listens where its WebSocket is to go.
DEFAULT = """
([port, nobody]) => {
    window.heard = []
    window.pusher = new Pusher("app-key", {cluster: "", wsHost: "127.0.0.1", wsPort: nobody, wssPort: nobody,
        httpHost: "127.0.0.1", httpPort: port, forceTLS: false})
    pusher.subscribe("projects,1,pages").bind_global((event, data) => heard.push([event, data?.id]))
}
"""


@pytest.mark.parametrize("transport", ["xhr_streaming", "xhr_polling"])
def test_where_no_websocket_gets_through_pusher_js_falls_back(site: Site, url: str, browser: Browser, transport: str) -> None:
    page = browser.new_context().new_page()
    page.clock.install()  # it waits for five seconds before it tries anything else, and then for four
    if transport == "xhr_polling":
        page.route("**/xhr_streaming?*", lambda route: route.abort())
    page.goto(url)
    page.evaluate(DEFAULT, [site.realtime.port, free_ports(1)[0]])
    page.clock.run_for(12_000 if transport == "xhr_polling" else 6000)
    await_(page, "pusher:subscription_succeeded")
    assert page.evaluate("pusher.connection.connection.transport.name") == transport
    site.write()
    await_(page, "create", "1")
    page.context.close()
