"""Rights taken away on a running server: once revoke() or recheck() has returned, nothing new reaches who lost them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from sqla_realtime import Identity, Realtime
from sqla_realtime.hub.house import House
from sqla_realtime.server.lifecycle import Lifecycle
from tests.support.models import Page, PageOut
from tests.support.peer import Peer
from tests.support.scene import PAGES, SECRET, Scene, eventually, live

MakeRealtime = Callable[..., Realtime]
Club = Callable[..., "Clubhouse"]


class Clubhouse(Scene):
    """Also has clubs, whose members are a set of user ids that the rule looks into."""

    def __init__(self, realtime: Realtime, engine: Engine) -> None:
        super().__init__(realtime, engine)
        self.members = {"7", "8"}
        self.asked: list[str] = []
        self.before: Callable[[], Any] = lambda: None
        realtime.publish(Page, schema=PageOut, channel="clubs/{project_id}")

        @realtime.channel("clubs/{project_id}")
        def may_join(user: Identity | None, project_id: int) -> bool:
            self.before()
            self.asked.append(user.id if user is not None else "nobody")
            return user is not None and user.id in self.members

    async def join(self, peer: Peer, user: int) -> None:
        assert (await peer.hello(self.realtime.token(user)))["type"] == "hello"
        assert (await peer.subscribe("clubs/1"))["type"] == "subscribed"


@pytest.fixture
def club(ear: Any, sqlite: Engine, realtime: MakeRealtime) -> Club:
    def make(**settings: Any) -> Clubhouse:
        made = Clubhouse(realtime(secret=SECRET, **settings), sqlite)
        made.realtime.start()
        return made

    return make


def bytes_of(peer: Peer) -> str:
    return str(peer.log)


@live
async def test_nothing_that_is_committed_after_a_revocation_reaches_who_lost_the_right(club: Club) -> None:
    made = club()
    for turn in range(20):
        made.members = {"7", "8"}
        async with Peer(made.port) as lost, Peer(made.port) as kept:
            await made.join(lost, 7)
            await made.join(kept, 8)
            made.members = {"8"}
            made.realtime.revoke(user=7)
            with made.sessions.begin() as session:
                session.add(Page(project_id=1, title=f"secret {turn}"))
            await kept.until(lambda heard: "commit" in heard)
            await lost.until(lambda heard: heard["type"] == "leave")
            await lost.say({"type": "ping"})
            await lost.until(lambda heard: heard["type"] == "pong")
            assert f"secret {turn}" not in bytes_of(lost)
            assert f"secret {turn}" in bytes_of(kept)


@live
async def test_whoever_keeps_the_right_goes_on_without_a_gap(club: Club) -> None:
    made = club()
    async with made.canary(), Peer(made.port) as peer:
        await made.join(peer, 7)
        await peer.subscribe(PAGES, number=2)
        gate = threading.Event()
        made.before = lambda: gate.wait(20)
        made.realtime.revoke(user=7)
        made.write()
        gate.set()
        back = await peer.until(lambda heard: heard["type"] == "subscribed")
        assert "id" not in back
        assert len(back["commits"]) == 1
        made.write()
        await peer.until(lambda heard: "commit" in heard)
        assert [sorted(rows) for rows in (peer.rows["clubs/1"], peer.rows[PAGES])] == [sorted(peer.rows[PAGES])] * 2
        assert len(peer.rows[PAGES]) == 3


@pytest.mark.parametrize("named", ["clubs/1", "clubs/{project_id}"])
@live
async def test_a_recheck_is_about_everybody_in_the_channel(club: Club, named: str) -> None:
    made = club()
    async with Peer(made.port) as lost, Peer(made.port) as kept:
        await made.join(lost, 7)
        await made.join(kept, 8)
        made.members = {"8"}
        made.realtime.recheck(channel="clubs/2")
        made.realtime.recheck(channel=named)
        made.write()
        assert (await lost.hear()) == {"type": "leave", "channels": ["clubs/1"], "reason": "forbidden"}
        # Either of them: the commit may have come before the rule's answer, or after it.
        await kept.until(lambda heard: made.written[0] in str(heard))
        assert made.asked == ["7", "8", *made.asked[2:]]
        assert sorted(made.asked[2:]) == ["7", "8"]


@live
async def test_a_rule_may_revoke(club: Club) -> None:
    """On the loop itself, where waiting for the loop would be waiting for oneself, and in a worker thread."""
    made = club()
    made.realtime.publish(Page, schema=PageOut, channel="doors/{project_id}")

    @made.realtime.channel("doors/{project_id}")
    async def slam(user: object, project_id: int) -> bool:
        made.members.discard("7")
        made.realtime.revoke(user=7)
        return True

    async with Peer(made.port) as lost, Peer(made.port) as slammer:
        await made.join(lost, 7)
        await slammer.hello()
        assert (await slammer.subscribe("doors/1"))["type"] == "subscribed"
        assert (await lost.hear())["type"] == "leave"
        made.before = lambda: made.realtime.recheck(channel=PAGES)
        assert (await slammer.subscribe("clubs/1", number=2))["code"] == "forbidden"


@live
async def test_a_blocked_loop_is_told_and_the_revocation_still_comes(club: Club) -> None:
    made = club()
    gate, entered = threading.Event(), threading.Event()
    made.realtime.publish(Page, schema=PageOut, channel="slow/{project_id}")

    @made.realtime.channel("slow/{project_id}")
    async def block(user: object, project_id: int) -> bool:
        entered.set()
        return gate.wait(20)

    async with Peer(made.port) as lost, Peer(made.port) as blocker:
        await made.join(lost, 7)
        made.members.clear()
        await blocker.hello()
        await blocker.say({"type": "subscribe", "id": 1, "channels": ["slow/1"]})
        await asyncio.to_thread(entered.wait, 20)
        with pytest.raises(TimeoutError, match=r"\[not-confirmed\]"):
            await asyncio.to_thread(made.realtime.revoke, 7, 0.1)
        gate.set()
        assert (await lost.hear())["type"] == "leave"


def test_without_a_broadcaster_there_is_nothing_to_revoke(realtime: MakeRealtime, club: Club) -> None:
    realtime().revoke(user=7)
    realtime().recheck(channel="a/{b}")
    made = club()
    made.realtime.stop()
    made.realtime.revoke(user=7)
    assert isinstance(made.realtime, Lifecycle)


def test_a_broadcaster_that_ends_meanwhile_keeps_nobody_waiting(club: Club) -> None:
    made = club()
    runner = made.realtime._runner
    assert runner is not None
    broadcaster = runner._broadcaster
    made.realtime.stop()
    runner._broadcaster = broadcaster  # as it was when the caller looked
    runner.order(lambda house: pytest.fail("nobody is there"), 5)


def test_a_mistake_on_the_loop_is_the_callers(club: Club) -> None:
    made = club()
    runner = made.realtime._runner
    assert runner is not None

    def broken(house: House) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runner.order(broken, 5)


@live
async def test_users_are_known_by_the_id_of_their_token(club: Club) -> None:
    made = club()
    looked_up: list[str] = []

    @made.realtime.identify
    def load(identity: Identity) -> Identity | None:
        looked_up.append(identity.id)
        return identity if identity.id in made.members else None

    async with Peer(made.port) as peer:
        await made.join(peer, 7)
        made.realtime.revoke(user="8")
        made.members.discard("7")
        made.realtime.revoke(user=7)
        assert (await peer.hear())["type"] == "leave"
        assert looked_up == ["7", "7"]
        assert made.asked[-1] == "nobody"
        await eventually(lambda: made.connections[0].user is None)


@live
async def test_a_renewal_over_the_wire(club: Club, ear: Any) -> None:
    made = club()
    async with made.canary(), Peer(made.port) as peer:
        await made.join(peer, 7)
        for user, answer in ((8, "error"), (7, "renewed")):
            token = made.realtime.token(user)
            ear.secrets.append(token)
            await peer.say({"type": "renew", "id": 5, "token": token})
            heard = await peer.until(lambda message: message.get("id") == 5)
            assert heard["type"] == answer
        made.write()
        await peer.until(lambda message: "commit" in message)
