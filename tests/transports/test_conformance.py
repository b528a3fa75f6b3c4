"""One suite on every transport: whatever carries a conversation, the same things are said in it and the same rows shown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sqla_realtime.hub.feed import Feed
from sqla_realtime.server.archive import DatabaseArchive
from sqla_realtime.server.doors import ApplicationDoorkeeper
from tests.support.carriers import KINDS, PollPeer
from tests.support.peer import Peer
from tests.support.scene import ALIKE, PAGES, Ear, Scene, eventually, live

Make = Callable[..., Scene]
OTHER = "projects/2/pages"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> type[Peer]:
    return KINDS[request.param]


def told(peer: Peer) -> list[str]:
    """The titles in the commits that a peer was told, live or missed, in order."""
    return [change["record"]["title"] for _, changes in peer.commits for change in changes if "record" in change]


async def shows(peer: Peer, made: Scene, project: int = 1) -> None:
    """Hear until the client shows what the table holds."""
    wanted = made.rows(project)
    while peer.rows.get(f"projects/{project}/pages") != wanted:
        await peer.hear()


async def back(peer: Peer, made: Scene) -> Peer:
    """The same client, after its connection broke."""
    await peer.cut()
    again = type(peer)(made.port)
    again.rows, again.position = peer.rows, peer.position
    return again


# What is live.


@live
async def test_rows_and_then_every_commit_whole_and_in_order(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    made.write()
    async with kind(made.port) as peer:
        await peer.hello()
        answer = await peer.subscribe(PAGES)
        assert [row["record"]["title"] for row in answer["channels"][0]["rows"]] == ["page 0"]
        for number in range(1, 6):
            made.write()
            if number == 3:
                await shows(peer, made)
        with made.sessions.begin() as session:
            session.add_all([_page(1, f"whole {number}") for number in range(3)])
        await shows(peer, made)
        assert told(peer)[:5] == [f"page {number}" for number in range(1, 6)]
        assert [change["record"]["title"] for change in peer.commits[-1][1]] == ["whole 0", "whole 1", "whole 2"]
        offsets = [int(position.rpartition(".")[2]) for position, _ in peer.commits]
        assert offsets == sorted(set(offsets))


@live
async def test_channels_share_one_cursor(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES, OTHER)
        while len(peer.rows) < 2:
            await peer.hear()
        made.write()
        made.write(project=2)
        with made.sessions.begin() as session:
            session.add_all([_page(1, "both"), _page(2, "both")])
        await shows(peer, made)
        await shows(peer, made, 2)
        assert {change["channel"] for change in peer.commits[-1][1]} == {PAGES, OTHER}
        assert peer.position == peer.commits[-1][0] == str(made.server.hub.position)


def _page(project: int, title: str) -> Any:
    from tests.support.models import Page

    return Page(project_id=project, title=title)


# Coming back.


@live
async def test_whoever_comes_back_missed_nothing(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        made.write()
        await shows(peer, made)
        async with await back(peer, made) as again:
            for _ in range(3):
                made.write()
            await again.hello()
            answer = await again.subscribe(PAGES, after=again.position)
            assert answer["channels"] == [{"channel": PAGES, "recovered": True}]
            await shows(again, made)
            assert told(again) == ["page 1", "page 2", "page 3"]


@live
async def test_a_client_may_go_on_over_another_transport(scene: Make) -> None:
    made = scene()
    rows: Any = {}
    position = None
    for kind in [*KINDS.values(), *KINDS.values()]:
        async with kind(made.port) as peer:
            peer.rows, peer.position = rows, position
            await peer.hello()
            answer = await peer.subscribe(PAGES, after=position)
            assert ("recovered" in answer["channels"][0]) == (position is not None)
            made.write()
            await shows(peer, made)
            rows, position = peer.rows, peer.position
        made.write()


POSITIONS = [
    "", ".", "nonsense", "x.1", "{epoch}.0x1", "{epoch}.-1", "{epoch}.999", "{epoch}.9007199254740991",
    "{epoch}.9007199254740992", "{epoch}." + "9" * 400, "{epoch}.01", "{epoch}. 3", "\x00.1", "../etc/passwd", "x" * 3000,
    "\xe9.1",
]  # fmt: skip


@live
async def test_what_can_not_be_resumed_is_answered_with_rows(scene: Make, kind: type[Peer]) -> None:
    made = scene(history_count=2)
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        for _ in range(6):
            made.write()
            await shows(peer, made)
        head = made.server.hub.position
        positions = [*POSITIONS, f"{head.epoch}.{head.offset - 3}", f"{head.epoch}.0"]  # the last two are trimmed
        for number, after in enumerate(positions):
            answer = await peer.subscribe(PAGES, after=after.replace("{epoch}", head.epoch), number=number)
            assert [len(item["rows"]) for item in answer["channels"]] == [6], after


# Asking for more, for less, and for what is not to be had.


@live
async def test_a_refused_channel_disturbs_no_other(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.say({"type": "subscribe", "id": 1, "channels": ["vault/1", PAGES, "banks/1", "no/such"]})
        while PAGES not in peer.rows or sum(message.get("type") == "error" for message in peer.log) < 3:
            await peer.hear()
        errors = [message for message in peer.log if message.get("type") == "error"]
        assert [error["channel"] for error in errors] == ["vault/1", "banks/1", "no/such"]
        assert all((error["code"], error["message"]) == (ALIKE["code"], ALIKE["message"]) for error in errors)
        for _ in range(3):
            made.write()
            await shows(peer, made)


@live
async def test_unsubscribe_ends_it(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES, OTHER)
        await shows(peer, made, 2)
        for number in (2, 3):  # idempotent
            await peer.say({"type": "unsubscribe", "id": number, "channels": [PAGES]})
            await peer.until(lambda heard: heard == {"type": "unsubscribed", "id": number, "channels": [PAGES]})  # noqa: B023
        before = len(peer.commits)
        made.write()
        made.write(project=2)
        await shows(peer, made, 2)
        assert {change["channel"] for _, changes in peer.commits[before:] for change in changes} == {OTHER}


@live
async def test_subscribing_twice_is_once(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    async with kind(made.port) as peer:
        await peer.hello()
        for number in (1, 2, 3):
            await peer.subscribe(PAGES, number=number)
        made.write()
        await shows(peer, made)
        made.write()
        await shows(peer, made)
        assert told(peer) == ["page 0", "page 1"]


@live
async def test_subscribe_and_unsubscribe_in_one_breath(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    async with made.canary(), kind(made.port) as peer:
        await peer.hello()
        for number in range(0, 20, 2):
            await peer.say({"type": "subscribe", "id": number, "channels": [PAGES]})
            await peer.say({"type": "unsubscribe", "id": number + 1, "channels": [PAGES]})
        await peer.until(lambda heard: heard.get("type") == "unsubscribed" and heard["id"] == 19)
        assert all(each.channels == set() for each in made.connections if each.channels != {PAGES})
        before = len(peer.commits)
        made.write()
        await peer.subscribe(OTHER, number=100)
        assert len(peer.commits) == before


@live
async def test_a_change_that_can_not_be_told_is_a_reset(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    made.write()
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        waiting = asyncio.ensure_future(peer.until(lambda heard: heard.get("type") == "reset" or _reloaded(heard)))
        await eventually(lambda: any(PAGES in each.channels for each in made.connections))
        made.doubt()
        heard = await waiting
        if heard["type"] == "reset":
            assert heard == {"type": "reset", "channels": [PAGES], "reason": "invalidated"}
            await peer.subscribe(PAGES, number=2)
        await shows(peer, made)
        made.write()
        await shows(peer, made)


def _reloaded(message: dict[str, Any]) -> bool:
    """Between two polls there is nobody to be told; the next one is answered with rows."""
    return message.get("type") == "subscribed" and message["id"] > 1 and "rows" in message["channels"][0]


@live
async def test_there_are_only_so_many_subscriptions(scene: Make, kind: type[Peer]) -> None:
    made = scene(subscriptions=3)
    async with made.canary(), kind(made.port) as peer:
        await peer.hello()
        await peer.say({"type": "subscribe", "id": 1, "channels": [f"projects/{number}/pages" for number in range(9)]})
        while len(peer.rows) < 3 or sum(message.get("code") == "too-many-subscriptions" for message in peer.log) < 6:
            await peer.hear()
        made.write()
        await shows(peer, made)


# Who it is.


@live
async def test_a_client_keeps_the_id_that_it_brings(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    mine = "c-0123456789_abc-XYZ"
    async with kind(made.port) as peer:
        peer.connection = mine  # type: ignore[attr-defined]
        await peer.say({"type": "hello", "connection": mine})
        answer = await peer.subscribe(PAGES) and peer.log[0]
        assert (answer["type"], answer["connection"]) == ("hello", mine)
        made.write()
        await shows(peer, made)


@live
async def test_a_token_says_who_it_is(scene: Make, kind: type[Peer], ear: Ear) -> None:
    made = scene(secret="s" * 40)
    token = made.realtime.token(7)
    ear.secrets.append(token)
    async with kind(made.port) as peer:
        await peer.hello(token)
        assert (await peer.subscribe("members/1"))["type"] == "subscribed"
    async with kind(made.port) as peer:
        await peer.say({"type": "hello", "token": token[:-4] + "AAAA"})
        await peer.say({"type": "subscribe", "id": 1, "channels": ["members/1"]})
        await peer.until(lambda heard: heard.get("code") == "bad-token")
        await peer.until(lambda heard: heard.get("code") == "hello-required")
    assert not made.connections or await eventually(lambda: not made.connections) is None


# What harms nobody.


@live
async def test_a_client_may_leave_at_any_moment(scene: Make, kind: type[Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut while the server waits for each of the things that it waits for; nothing of it stays behind."""
    made = scene(snapshot_share=0)  # which would leave nothing to stall
    moments = [
        (ApplicationDoorkeeper, "identify"), (ApplicationDoorkeeper, "admit"), (DatabaseArchive, "rows"), (Feed, "reached"),
    ]  # fmt: skip
    async with made.canary():
        for owner, name in moments:
            with Stall(monkeypatch, owner, name) as stall:
                async with kind(made.port) as peer:
                    asking = asyncio.ensure_future(_ask(peer))
                    assert await asyncio.to_thread(stall.reached.wait, 20), name
                    asking.cancel()
                    await peer.cut()
                    await eventually(lambda: len(made.connections) == 1)
            await eventually(lambda: set(made.server.hub._live) == {PAGES} and not made.server.hub._flights)
            made.write()
        async with kind(made.port) as peer:  # and where it waits for news
            await peer.hello()
            await peer.subscribe(PAGES, OTHER)
        await eventually(lambda: len(made.connections) == 1)
        assert len(made.server.hub._live[PAGES]) == 1
        assert OTHER not in made.server.hub._live
        assert not made.server._lobby._reachable


async def _ask(peer: Peer) -> None:
    await peer.hello()
    await peer.subscribe(OTHER)


class Stall:
    """While it lasts, a coroutine of the server waits, and says that somebody has got there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.reached, self._go_on = threading.Event(), threading.Event()
        original = getattr(owner, name)

        async def stalled(*arguments: Any) -> Any:
            self.reached.set()
            await asyncio.to_thread(self._go_on.wait, 20)
            return await original(*arguments)

        self._monkeypatch = monkeypatch
        monkeypatch.setattr(owner, name, stalled)

    def __enter__(self) -> Stall:
        return self

    def __exit__(self, *failure: object) -> None:
        self._go_on.set()
        self._monkeypatch.undo()


# The clock and the end.


@live
async def test_whoever_is_not_admitted_in_time_is_closed(
    scene: Make, kind: type[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene(hello_timeout=0.3)
    with Stall(monkeypatch, ApplicationDoorkeeper, "identify"):
        async with kind(made.port) as peer:
            await peer.say({"type": "hello"})
            await peer.until(lambda heard: heard == {"type": "bye", "code": 4503, "reason": "hello-timeout"})
            assert await peer.receive() is None


@live
async def test_a_connection_without_news_shows_life(scene: Make, kind: type[Peer]) -> None:
    made = scene(ping_interval=0.4, poll_wait=0.3)
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        made.write(project=2)  # moves the log on, and is not this client's
        behind = peer.position
        await peer.until(lambda heard: heard.get("type") == "ping" and heard["position"] != behind)
        assert peer.position == str(made.server.hub.position)


@live
async def test_a_stop_says_when_to_come_back(scene: Make, kind: type[Peer]) -> None:
    made = scene()
    async with kind(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        if kind is PollPeer:
            await eventually(lambda: not made.connections)  # the first poll's end is over; the next is in flight at the stop
        hearing = asyncio.ensure_future(peer.until(lambda heard: heard.get("type") == "bye"))
        await eventually(lambda: len(made.connections) == 1)
        loop = asyncio.get_running_loop()
        since = loop.time()
        await asyncio.to_thread(made.realtime.stop, 15)
        assert loop.time() - since < 10, "it has waited for somebody who was told to go"
        goodbye = await hearing
        assert 0 <= goodbye.pop("retry_after_ms") <= 2000
        assert goodbye == {"type": "bye", "code": 4500, "reason": "restarting"}
        assert await peer.receive() is None
