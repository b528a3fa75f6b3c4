"""The public API of a Realtime: declaring, enabling, starting and stopping, in every order in which somebody may do it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_realtime import ConfigurationError, DeclarationError, Realtime, anyone, signed_in
from sqla_realtime.errors import BadSetting, NotEnableable, NotEnabled, PublishedTwice, RuleTwice
from tests.support.databases import sqlite_engine
from tests.support.models import Account, AccountOut, Base, Page, PageOut
from tests.support.peer import Peer
from tests.support.scene import PAGES, SECRET, Ear, Scene, eventually, live, refused, titles

Make = Callable[..., Scene]
MakeRealtime = Callable[..., Realtime]


# Declaring.


def test_publish_says_what_it_made(realtime: MakeRealtime) -> None:
    [publication] = realtime().publish(Page, schema=PageOut, channel="pages", name="Sheet")
    assert publication.model is Page
    assert publication.pattern.text == "pages"


def test_a_mistake_in_a_declaration_is_told_at_once(realtime: MakeRealtime) -> None:
    made = realtime()
    made.publish(Page, schema=PageOut, channel="pages", join=anyone)
    with pytest.raises(PublishedTwice):
        made.publish(Page, schema=PageOut, channel="pages")
    with pytest.raises(RuleTwice):
        made.channel("pages")(lambda user: True)
    with pytest.raises(DeclarationError):
        made.publish(Page, channel="more")
    made.channel("rooms/{id}")(lambda user, id: True)
    with pytest.raises(DeclarationError):
        made.publish(Account, schema=PageOut, channel="rooms/{id}")


def test_decorators_return_what_they_were_given(realtime: MakeRealtime) -> None:
    def rule(user: object, project_id: int) -> bool:
        return True

    def load(identity: object) -> object:
        return identity

    made = realtime()
    assert made.channel("projects/{project_id}/pages")(rule) is rule
    assert made.identify(load) is load


def test_describe(realtime: MakeRealtime) -> None:
    made = realtime()
    assert made.describe() == ["Nothing is published."]
    made.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=signed_in)
    made.publish(Account, schema=AccountOut, channel="banks/{bank}")
    assert made.describe() == [
        "Page on projects/{project_id}/pages (joined by rule signed_in)",
        "    sends: id, project_id, title, size",
        "    keeps: notes",
        "Account on banks/{bank} (nobody may join: it has no rule)",
        "    sends: id, bank, balance",
        "    keeps: nothing",
    ]


def test_a_setting_that_does_not_exist_is_told_at_once() -> None:
    with pytest.raises(BadSetting, match="Did you mean 'port'"):
        Realtime(prt=1)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_token(realtime: MakeRealtime, algorithm: str) -> None:
    made = realtime(secret=SECRET + SECRET, algorithm=algorithm)
    assert made.token(7).count(".") == 2
    with pytest.raises(ConfigurationError, match="REALTIME_SECRET"):
        realtime().token(7)


# Starting and stopping.


def test_nothing_starts_by_itself(realtime: MakeRealtime, sqlite: Engine) -> None:
    threads = threading.active_count()
    made = realtime()
    made.publish(Page, schema=PageOut, channel="pages", join=anyone)
    made.enable(sessionmaker(sqlite))
    assert threading.active_count() == threads
    assert not made.running
    assert made.port == made.settings.port == 0


def test_start_needs_something_to_listen_to(realtime: MakeRealtime) -> None:
    made = realtime()
    with pytest.raises(NotEnabled, match="init_app"):
        made.start()
    assert not made.running
    with pytest.raises(NotEnableable):
        made.enable(object())


def test_start_twice_is_once(scene: Make) -> None:
    made = scene()
    port, threads = made.port, threading.active_count()
    made.realtime.start()
    assert (made.port, threading.active_count()) == (port, threads)


def test_many_threads_start_one_server(realtime: MakeRealtime, sqlite: Engine) -> None:
    made = realtime()
    made.enable(sessionmaker(sqlite))
    barrier = threading.Barrier(8)
    ports = []

    def start() -> None:
        barrier.wait()
        made.start()
        ports.append(made.port)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ports) == 8
    assert len(set(ports)) == 1
    assert [thread.name for thread in threading.enumerate()].count("sqla-realtime") == 1


def test_stop_where_nothing_runs(realtime: MakeRealtime) -> None:
    made = realtime()
    made.stop()
    made.stop()
    assert not made.running


def test_start_warns_of_rules_that_are_missing_or_misspelt(scene: Make, ear: Ear, realtime: MakeRealtime) -> None:
    made = scene()
    assert "Channel 'banks/{bank}' has no rule, so nobody may join it. [no-rule]" in ear.text
    assert "rule-without-rows" not in ear.text
    made.realtime.stop()
    made.realtime.channel("bank/{bank}")(lambda user, bank: True)
    made.realtime.start()
    assert "The rule of 'bank/{bank}' belongs to no publication; is it misspelt? [rule-without-rows]" in ear.text


@live
async def test_after_stop_and_start_clients_come_back_and_converge(scene: Make) -> None:
    """Nothing is captured while no server runs, so a position from before must not pass for the present."""
    made = scene()
    made.write()
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        before = peer.position
        await asyncio.to_thread(made.realtime.stop)
        assert (await peer.closed())[0] == 4500
    made.write()
    made.realtime.start()
    made.write()
    async with Peer(made.port) as peer:
        await peer.hello()
        answer = await peer.subscribe(PAGES, after=before)
        assert "rows" in answer["channels"][0]
        assert [record["title"] for record in peer.rows[PAGES].values()] == made.written
        made.write()
        await peer.until(lambda message: "commit" in message)
        assert [record["title"] for record in peer.rows[PAGES].values()] == made.written


@live
async def test_whoever_comes_back_in_time_gets_what_it_missed(scene: Make) -> None:
    made = scene()
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.subscribe(PAGES)
        made.write()
        await peer.until(lambda message: "commit" in message)
    made.write()
    made.write()
    async with Peer(made.port) as again:
        again.rows = peer.rows
        await again.hello()
        answer = await again.subscribe(PAGES, after=peer.position)
        assert answer["channels"] == [{"channel": PAGES, "recovered": True}]
        assert [record["title"] for record in again.rows[PAGES].values()] == made.written


@pytest.mark.parametrize("company", [False, True], ids=["alone", "after somebody else"])
def test_whoever_comes_back_too_late_gets_the_rows(scene: Make, company: bool) -> None:
    """Changes that nobody can receive are not captured, and then a position does not tell what was missed."""

    @live
    async def story() -> None:
        made = scene(history_age=0.02)
        async with Peer(made.port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
        await eventually(lambda: not made.realtime._wants("projects/{project_id}/pages"))
        made.write()
        async with Peer(made.port) as other, Peer(made.port) as again:
            if company:
                await other.hello()
                await other.subscribe(PAGES)
            await again.hello()
            await again.subscribe(PAGES, after=peer.position)
            assert [record["title"] for record in again.rows.get(PAGES, {}).values()] == made.written

    story()


# Enabling.


@live
async def test_disable_stops_listening_and_enable_begins_again(scene: Make) -> None:
    made = scene()
    async with made.canary():
        made.realtime.disable(made.sessions)
        count = len(made.written)
        made.write()
        del made.written[count:]
        made.realtime.enable(made.sessions)
        made.realtime.enable(made.sessions)
        made.write()  # told once


@pytest.mark.parametrize("kind", ["sessionmaker", "scoped", "session", "class"])
def test_every_kind_of_target_is_live(ear: Ear, realtime: MakeRealtime, sqlite: Engine, kind: str) -> None:
    class Own(Session):
        pass

    factory = sessionmaker(sqlite, class_=Own)
    one = factory()
    target = {"sessionmaker": factory, "scoped": scoped_session(factory), "session": one, "class": Own}[kind]
    made = realtime()
    made.publish(Page, schema=PageOut, channel="pages", join=anyone)
    made.enable(target, bind=sqlite if kind == "class" else None)
    made.start()

    @live
    async def story() -> None:
        async with Peer(made.port) as peer:
            await peer.hello()
            await peer.subscribe("pages")
            one.add(Page(title="first"))
            one.commit()
            await peer.until(lambda message: "commit" in message)
            assert titles(peer) == ["first"]

    story()
    one.close()


@live
async def test_two_realtimes_in_one_process_do_not_meet(scene: Make, realtime: MakeRealtime, tmp_path: Path) -> None:
    made = scene()
    engine = sqlite_engine(tmp_path)
    Base.metadata.create_all(engine)
    other = Scene(realtime(), engine)
    other.realtime.start()
    async with made.canary(), Peer(other.port) as peer:
        await peer.hello()
        assert (await peer.subscribe(PAGES))["channels"][0]["rows"] == []
        made.write()
        other.write()
        await peer.until(lambda message: "commit" in message)
        assert [record["title"] for record in peer.rows[PAGES].values()] == other.written
    engine.dispose()


@live
async def test_declarations_after_start_count(scene: Make) -> None:
    made = scene()
    async with made.canary(), Peer(made.port) as peer:
        await peer.hello()
        await refused(peer, "sheets/1")
        made.realtime.publish(Page, schema=PageOut, channel="sheets/{project_id}", join=anyone, name="Sheet")
        assert (await peer.subscribe("sheets/1"))["type"] == "subscribed"
        assert {key[0] for key in peer.rows["sheets/1"]} == {"Sheet"}
