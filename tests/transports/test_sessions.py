"""Sessions over requests that reach any of several processes: each is answered by the one that has its session."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine

from sqla_realtime import Realtime
from sqla_realtime.transports import family as families
from sqla_realtime.transports import handover, mailbox, siblings
from sqla_realtime.transports.family import can_share, place_of
from sqla_realtime.transports.handover import Handed
from sqla_realtime.transports.siblings import Siblings
from tests.support.models import Base
from tests.support.scene import eventually, live
from tests.support.socketio import NO_SESSION, Poller, Site, handshake, subscribe
from tests.support.web import Response, ask, request
from tests.transports.pusher.test_socket import APP
from tests.transports.pusher.test_xhr import QUERY, SESSION, events, heard

pytestmark = pytest.mark.skipif(not can_share(), reason="there are no abstract sockets here")

Make = Callable[..., Site]
SUBSCRIBE = json.dumps([json.dumps({"event": "pusher:subscribe", "data": {"channel": "pages"}})])


@pytest.fixture
def site(sqlite: Engine, realtime: Callable[..., Realtime]) -> Make:
    """Makes servers of one log."""

    def make(**settings: Any) -> Site:
        Base.metadata.create_all(sqlite)
        return Site(realtime(broker="database", pusher=[APP], **settings), sqlite)

    return make


class Couriers:
    """The servers of one log, each request to the next one; ``handed`` is how many were handed over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *sites: Site) -> None:
        self.sites = sites
        self.handed = 0
        self._count = 0
        hand_over = Siblings.hand_over

        async def counted(each: Siblings, place: str, let_go: Any) -> bool:
            done = await hand_over(each, place, let_go)
            self.handed += done
            return done

        monkeypatch.setattr(Siblings, "hand_over", counted)

    @property
    def port(self) -> int:
        self._count += 1
        return self.sites[self._count % len(self.sites)].port


async def send(port: int, body: str = SUBSCRIBE, session: str = SESSION) -> int:
    return (await ask(port, f"{session}/xhr_send", body))[0]


async def poll(port: int, session: str = SESSION) -> list[str]:
    status, _, body = await ask(port, f"{session}/xhr{QUERY}", b"")
    assert status == 200
    return body.decode().splitlines()


async def stream(port: int) -> Response:
    return await request(port, f"{SESSION}/xhr_streaming{QUERY}", b"")


@live
async def test_pushers_polls_reach_their_session(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    way = Couriers(monkeypatch, site(), site())
    first, line = await poll(way.port)
    assert (first, events(line)) == ("o", ["pusher:connection_established"])
    for turn in range(4):
        waiting = asyncio.create_task(poll(way.port))
        await eventually(lambda: any(site.polled for site in way.sites))
        assert await send(way.port) == 204
        [line] = await waiting
        assert events(line) == ["pusher_internal:subscription_succeeded"]
        await asyncio.to_thread(way.sites[turn % 2].write, f"{turn}")
        [line] = await poll(way.port)
        assert events(line) == ["create"]
    assert way.handed >= 2
    assert sum(len(each.server._lobby.conversations) for each in way.sites) == 1


@live
async def test_pushers_stream_goes_on_in_its_own_process(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = site(), site()
    way = Couriers(monkeypatch, here, there)
    await poll(there.port)
    answer = await stream(here.port)
    assert await send(here.port) == 204
    assert "subscription_succeeded" in await heard(answer)
    for number in range(3):
        await asyncio.to_thread(here.write, f"{number}")
        assert events((await heard(answer)).strip()) == ["create"]
    assert way.handed == 2
    await answer.close()  # who leaves is gone from where the session is
    await eventually(lambda: not there.server._lobby.conversations)
    assert await send(here.port) == 404
    assert (await poll(here.port))[0] == "o", "its name could not be had again"


@live
async def test_a_stream_that_was_handed_over_outlives_who_did_that(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = site(), site()
    way = Couriers(monkeypatch, here)
    await poll(there.port)
    answer = await stream(here.port)
    assert await send(there.port) == 204
    assert "subscription_succeeded" in await heard(answer)
    await asyncio.to_thread(here.realtime.stop)
    await asyncio.to_thread(there.write, "one")
    assert events((await heard(answer)).strip()) == ["create"]
    assert way.handed == 1
    await answer.close()


@live
async def test_juggernauts_polls_reach_their_session(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    way = Couriers(monkeypatch, site(), site())
    client = Poller(way.port, await handshake(way.port))
    for made in way.sites:
        client.port = made.port
        polled = await client.poll() if made is way.sites[0] else []
        assert polled in (["1::"], [])
        assert await client.say(subscribe()) == "1"
    polled = []
    for each in ("one", "two", "three"):
        await asyncio.to_thread(way.sites[0].write, each)
        while f"create {each}" not in polled:
            client.port = way.port
            polled += await client.poll()
    assert [word for word in polled if word.startswith("create")] == ["create one", "create two", "create three"]
    assert way.handed
    client.port = way.port
    assert await client.say("0::") == "1"
    for made in way.sites:
        client.port = made.port
        assert await client.poll() == [NO_SESSION]


@live
async def test_a_session_that_never_was_is_not_there(site: Make) -> None:
    here, there = site(), site()
    [via] = [each.server._lobby.siblings.via for each in (there,) if each.server._lobby.siblings is not None]
    place = via.replace(".", "-")
    known = await handshake(there.port)
    assert known.endswith(f"-{place}")
    never = f"c-never-was-this-one-{place}"
    assert len({(await ask(port, f"/socket.io/1/xhr-polling/{never}"))[2] for port in (here.port, there.port)}) == 1
    for session in (never, f"{known[:-1]}9", "x-1-1", "c-0-0"):
        assert await Poller(here.port, session).poll() == [NO_SESSION]
        assert await Poller(here.port, session).say(subscribe()) == NO_SESSION
    assert await send(here.port) == await send(there.port) == 404


@live
async def test_strangers_and_the_too_many_stay_outside_wherever_they_come(site: Make) -> None:
    here, there = site(development=False, max_body=1000), site(development=False, max_body=1000)
    await poll(there.port)
    for body, headers, status in [("[]", {"Origin": "https://evil.example"}, 403), (" " * 1001, {}, 413), ("{}", {}, 400)]:
        assert (await ask(here.port, f"{SESSION}/xhr_send", body, **headers))[0] == status
    assert await send(here.port) == 204


@live
async def test_a_name_that_somebody_else_has_taken_leads_nowhere(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = site(), site()
    family = there.realtime._family()
    assert family is not None
    taken = family.take(place_of(SESSION.removeprefix("/pusher/app/")))
    assert taken is not None
    user = os.geteuid()
    with taken:
        monkeypatch.setattr(families.os, "geteuid", lambda: user + 1)
        assert (await poll(here.port))[0] == "o"
        assert await send(here.port) == 204
        way, _ = taken.accept()
        with way:
            assert way.recv(100) == b"", "something was said to it"
        assert await send(there.port) == 404


@live
async def test_where_a_process_does_not_answer_the_session_is_lost(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = site(), site()
    monkeypatch.setattr(siblings, "PATIENCE", 0.05)
    monkeypatch.setattr(Siblings, "_come", lambda self, way, address: self._coming.add(way))
    await poll(there.port)
    assert await send(here.port) == 404
    assert (await poll(here.port))[0] == "o"
    for each in (here, there):
        family = each.server._lobby.siblings
        assert family is not None
        for way in family._coming:
            way.close()  # type: ignore[attr-defined]
        family._coming.clear()


@live
async def test_whoever_leaves_on_the_way_is_not_kept(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = site(), site()
    await poll(there.port)
    begin = Handed.__init__

    def gone(self: Handed, *arguments: Any) -> None:
        begin(self, *arguments)
        self.socket.getpeername = lambda: (_ for _ in ()).throw(OSError)  # type: ignore[method-assign]

    monkeypatch.setattr(Handed, "__init__", gone)
    with pytest.raises(asyncio.IncompleteReadError):
        await send(here.port)
    monkeypatch.undo()
    assert await send(here.port) == 204


@live
async def test_what_comes_behind_a_request_goes_with_it(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = site(), site()
    way = Couriers(monkeypatch, here)
    await poll(there.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    requests = f"POST {SESSION}/xhr_send HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n[]".encode()
    writer.write(2 * requests)
    for _ in range(2):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    # From here on the connection is with the session.
    writer.write(requests)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    assert way.handed == 1
    writer.close()


@live
async def test_two_requests_that_waited_for_nobody_begin_one_session(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = site(poll_wait=0.05), site()
    monkeypatch.setattr(siblings, "PATIENCE", 0.05)
    monkeypatch.setattr(mailbox, "AWAY", 0.5)
    monkeypatch.setattr(Siblings, "_come", lambda self, way, address: self._coming.add(way))
    await poll(there.port)
    answers = await asyncio.gather(*(poll(here.port) for _ in range(3)))
    assert [line for lines in answers for line in lines].count("o") == 1
    assert len(here.server._lobby.conversations) == 1
    await eventually(lambda: not here.server._lobby.conversations)
    for each in (here, there):
        family = each.server._lobby.siblings
        assert family is not None
        for way in family._coming:
            way.close()  # type: ignore[attr-defined]
        family._coming.clear()


@live
async def test_whoever_sends_too_much_before_an_answer_is_cut(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out would make a request of the middle of another one."""
    here, there = site(), site()
    monkeypatch.setattr(handover, "BEHIND", 100)
    await poll(there.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    head = f"POST {SESSION}/xhr_send HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    writer.write(f"{head}Content-Length: 2\r\n\r\n[]{head}X: {'x' * 200}\r\nContent-Length: 2\r\n\r\n[]".encode())
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert await send(here.port) == 204


@live
async def test_where_no_file_is_left_a_session_is_found_in_its_own_process(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*family: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    here = site()
    monkeypatch.setattr(families.Family, "take", full)
    assert (await poll(here.port))[0] == "o"
    assert await send(here.port) == 204
