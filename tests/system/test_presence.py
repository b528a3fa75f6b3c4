"""Two users in three tabs of a real browser: who is there, through reloads and closed tabs, and what they say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from pydantic import BaseModel

from sqla_realtime import Identity, signed_in
from sqla_realtime.hub.presence import Presence
from tests.support.browser import HASTE
from tests.support.scene import SECRET, Scene

pytestmark = pytest.mark.browser

Make = Callable[..., Scene]
ROOM = "rooms/5"


class Profile(BaseModel):
    name: str


class Typing(BaseModel):
    on: bool


START = """
async ([token, transport, name]) => {
    const { connect } = await import("/realtime/realtime.js")
    const { presence } = await import("/realtime/presence.js")
    window.client = connect({ token, transports: [transport] })
    window.room = presence(client, name)
    window.told = []
    for (const event of ["join", "leave"]) room.on(event, ({ id, info }) => told.push([event, id, info.name]))
    room.on("event:typing", ({ data, from }) => told.push(["typing", from, data.on]))
}
"""
IDS = "room.members.map(({ id }) => id).join()"


@pytest.fixture
def made(scene: Make) -> Scene:
    class User:
        def __init__(self, identity: Identity) -> None:
            self.name = f"user {identity.id}"
            self.email = "not for others"

    made = scene(secret=SECRET)
    made.realtime.identify(User)
    made.realtime.channel("rooms/{room}", presence=Profile, events={"typing": Typing})(signed_in)
    return made


class Tab:
    """One page in the room."""

    def __init__(self, page: Page, made: Scene, user: str, transport: str) -> None:
        self.page = page
        self._arguments = [made.realtime.token(user), transport, ROOM]
        page.set_default_timeout(20_000)
        page.goto(f"http://127.0.0.1:{made.port}/")
        self.enter()

    def enter(self) -> None:
        self.page.evaluate(HASTE)
        self.page.evaluate(START, self._arguments)

    def reload(self) -> None:
        self.page.reload()
        self.enter()

    def shows(self, ids: str) -> None:
        self.page.wait_for_function(f"{IDS} === '{ids}'")

    def until(self, *told: list[object]) -> None:
        """It is told this and nothing else."""
        self.page.wait_for_function("told => JSON.stringify(window.told) === JSON.stringify(told)", arg=[*told])

    def told(self) -> object:
        return self.page.evaluate("window.told")

    def say(self, data: object) -> object:
        """The code with which it was refused, or None."""
        return self.page.evaluate("data => room.send('typing', data).then(() => null, error => error.code)", data)


class Watch:
    """Tells when the server has noticed that the last connection of a user's is gone."""

    def __init__(self, presence: Presence, user: str) -> None:
        self.gone = threading.Event()
        leave = presence.leave

        def watched(channel: str, *arguments: Any, **named: Any) -> None:
            leave(channel, *arguments, **named)
            if not any(member.connections for member in presence.members(channel) if member.id == user):
                self.gone.set()

        presence.leave = watched  # type: ignore[method-assign]


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
def test_two_users_in_three_tabs(browser: Browser, made: Scene, transport: str) -> None:
    presence = made.server.house.gathering._presence
    presence._grace = 1000.0
    watch = Watch(presence, "1")
    bob = Tab(browser.new_page(), made, "2", "websocket")
    bob.shows("2")
    ann = Tab(browser.new_page(), made, "1", transport)
    bob.until(["join", "1", "user 1"])
    ann.shows("2,1")
    assert ann.page.evaluate("[room.me, JSON.stringify(room.members)]") == [
        "1", '[{"id":"2","info":{"name":"user 2"}},{"id":"1","info":{"name":"user 1"}}]',
    ]  # fmt: skip

    # A page that is loaded anew, a second one, and one of two that is closed are neither a leave nor a join.
    ann.reload()
    ann.shows("2,1")
    second = Tab(browser.new_page(), made, "1", transport)
    second.shows("2,1")
    ann.page.close()
    assert second.say({"on": True}) is None
    bob.until(["join", "1", "user 1"], ["typing", "1", True])

    # What is refused nobody hears of; and nobody hears himself.
    assert second.say({"on": "perhaps"}) == "invalid-event"
    assert second.say({"on": "x" * 5000}) == "event-too-large"
    assert second.page.evaluate("room.send('shout').catch(error => error.code)") == "unknown-event"
    assert second.say({"on": False}) is None
    bob.until(["join", "1", "user 1"], ["typing", "1", True], ["typing", "1", False])
    assert second.told() == []

    # The last one that is closed is a leave, once the grace is over.
    watch.gone.clear()
    second.page.close()
    assert watch.gone.wait(20)
    assert bob.page.evaluate(IDS) == "2,1"
    presence._grace = 0.2
    third = Tab(browser.new_page(), made, "1", transport)
    third.shows("2,1")
    third.page.close()
    bob.shows("2")
    assert bob.page.evaluate("told.at(-1)") == ["leave", "1", "user 1"]
    bob.page.close()
