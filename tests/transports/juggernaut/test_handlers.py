"""The ways in for Juggernaut's clients: handshake, WebSocket, polls and scripts, and whoever must not come in by them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sqla_realtime.transports import mailbox
from tests.support.models import Page, Project
from tests.support.scene import Ear, Scene, eventually, live
from tests.support.socketio import NO_SESSION, UNAUTHORIZED, Poller, Site, handshake, peer, poller, subscribe, unsubscribe
from tests.support.web import ask
from tests.support.wire import Wire
from tests.transports.test_link import ending_of_silence

Make = Callable[..., Site]
# What a script of a page that is let in is asked for with.
HOME = {"Referer": "http://localhost:3000/page"}


@live
async def test_a_handshake(site: Make) -> None:
    port = site(ping_interval=7.5).port
    status, headers, body = await ask(port, "/socket.io/1/?t=1", Origin="http://localhost:3000")
    session, *rest = body.decode().split(":")
    assert (status, rest) == (200, ["8", "15", "websocket,xhr-polling,jsonp-polling"])
    assert headers["access-control-allow-origin"] == "http://localhost:3000"
    script = (await ask(port, "/socket.io/1?t=1&jsonp=3", **HOME))[2].decode()
    assert script.startswith('io.j[3]("c-')
    assert script.endswith('");')
    assert not (await ask(port, "/socket.io/1?t=1&jsonp=alert(1)", **HOME))[2].startswith(b"io.j")
    assert len({session, *[await handshake(port) for _ in range(3)]}) == 4


@live
async def test_pages_of_strangers_stay_outside(site: Make) -> None:
    made = site(development=False)
    session = await handshake(made.port)
    for headers in ({"Origin": "http://evil.example"}, {"Referer": "http://evil.example/"}, {"Sec_Fetch_Site": "cross-site"}):
        for path in ("", f"xhr-polling/{session}", f"jsonp-polling/{session}?i=0"):
            assert (await ask(made.port, f"/socket.io/1/{path}", **headers))[0] == 403
    assert (await ask(made.port, f"/socket.io/1/xhr-polling/{session}", "2::", Origin="http://evil.example"))[0] == 403
    with pytest.raises(InvalidStatus, match="403"):
        async with peer(made.port, origin="http://evil.example"):
            pass
    # A script could be any page's that does not say which it is.
    for path in ("?jsonp=0", f"jsonp-polling/{session}?i=0"):
        assert (await ask(made.port, f"/socket.io/1/{path}"))[0] == 403
    for own in ({"Referer": f"http://127.0.0.1:{made.port}/"}, {"Sec_Fetch_Site": "same-origin"}):
        script = Poller(made.port, await handshake(made.port), "jsonp-polling").path
        assert (await ask(made.port, f"{script}?i=0", **own))[2] == b'io.j[0]("1::");'


@live
async def test_where_no_channel_has_a_name_for_it_there_is_nothing(scene: Callable[..., Scene]) -> None:
    port = scene().port
    for path in ("/socket.io/1/", "/socket.io/1/websocket/x", "/socket.io/1/xhr-polling/x"):
        assert (await ask(port, path))[0] == 404


@live
async def test_a_conversation_over_a_websocket(site: Make) -> None:
    made = site()
    made.write("one")
    async with peer(made.port, "/observer") as client:
        assert await client.hear(2) == ["create one", "update one"]
        # To subscribe twice is to subscribe.
        await client.say(subscribe(), "2::", '3:::{"type":"meta","data":{}}', '3:::{"type":"event","data":1}', "5:::{}")
        await asyncio.to_thread(made.write, "two", "three")
        assert await client.hear(2) == ["create two", "create three"]
        await asyncio.to_thread(made.rename, "two", "zwei")
        assert await client.hear(2) == ["create zwei", "update zwei"]
        await asyncio.to_thread(made.remove, "zwei")
        assert await client.hear() == ["destroy 2"]
        await client.say(unsubscribe(), subscribe("/projects/1"))
        assert await client.hear(4) == ["create one", "update one", "create three", "update three"]
        await asyncio.to_thread(made.write, "four")
        assert await client.hear() == ["create four"]
        await client.say("0::")


@live
async def test_what_is_not_for_everybody(site: Make) -> None:
    """What does not exist, what has no name and what is forbidden are the same to whoever asks."""
    made = site()
    async with peer(made.port, "/nothing", "pages", "hidden", "accounts", "/accounts", "/projects/x") as client:
        assert await client.hear(6) == [UNAUTHORIZED] * 6
        await client.say(subscribe())
        await made.joined(client.session, "pages")
        await asyncio.to_thread(made.write, "one")
        assert await client.hear() == ["create one"]
    async with peer(made.port, "/accounts", "/nothing", additional_headers={"Cookie": "member=7"}) as member:
        assert await member.hear() == [UNAUTHORIZED]


@live
async def test_who_writes_is_not_told_of_its_own(site: Make) -> None:
    made = site()
    client = await poller(made.port, "/observer")
    async with peer(made.port, "/observer") as writer:
        await made.joined(writer.session, "pages")
        await made.joined(client.session, "pages")
        await asyncio.to_thread(made.write, "mine", origin=writer.session)
        await asyncio.to_thread(made.write, "theirs")
        assert await writer.hear() == ["create theirs"]
        assert await client.poll() == ["create mine", "create theirs"]
        await asyncio.to_thread(made.write, "yours", origin=client.session)
        await asyncio.to_thread(made.write, "ours")
        assert await writer.hear(2) == ["create yours", "create ours"]
        assert await client.poll() == ["create ours"]


@live
async def test_who_writes_is_told_what_was_changed_along_with_its_own(site: Make) -> None:
    made = site()
    made.write("one", "two")
    async with peer(made.port, "/observer") as writer:
        assert len(await writer.hear(4)) == 4

        def remove() -> None:
            with made.realtime.origin(writer.session), made.sessions.begin() as session:
                session.delete(session.get_one(Page, 1))
            with made.realtime.origin(writer.session), made.sessions.begin() as session:
                session.delete(session.get_one(Project, 1))

        await asyncio.to_thread(remove)
        assert await writer.hear() == ["destroy 2"]


@live
async def test_signs_of_life_and_nonsense(site: Make) -> None:
    made = site(ping_interval=0.4, max_errors=3)
    async with peer(made.port) as client:
        assert await client.hear(2) == ["2::", "2::"]
        await client.say("x", "3:::x", "3:::{}")
        with pytest.raises(ConnectionClosed):
            await client.hear(9)
        assert client.socket.close_code == 4400


@live
async def test_who_answers_nothing_is_closed(site: Make) -> None:
    made = site(ping_interval=0.2)
    session = await handshake(made.port)
    with Wire(made.port) as wire:
        assert wire.ask(f"/socket.io/1/websocket/{session}", Sec_WebSocket_Protocol=None).status == 101
        await asyncio.to_thread(ending_of_silence, wire)
    await eventually(lambda: not made.server._lobby.conversations)


@live
async def test_who_polls_no_more_is_forgotten(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site()
    monkeypatch.setattr(mailbox, "AWAY", 0.05)
    client, other = await poller(made.port, "/observer"), await poller(made.port)
    await eventually(lambda: not made.server._lobby.conversations)
    for each in (client, other):
        assert await each.poll() == [NO_SESSION]


@live
async def test_a_conversation_by_polls(site: Make) -> None:
    made = site()
    made.write("one")
    client = await poller(made.port)
    said = [subscribe(), "2::"]
    body = "".join(f"\ufffd{len(each)}\ufffd{each}" for each in said)
    assert await client.say(body) == "1"
    assert await client.poll() == ["create one", "update one"]
    waiting = asyncio.create_task(client.poll())
    await asyncio.to_thread(made.write, "\N{SNOWMAN}")
    assert await waiting == ["create \N{SNOWMAN}"]
    await asyncio.to_thread(made.write, "three")
    await asyncio.to_thread(made.write, "four")
    await eventually(lambda: made.server.hub.position.offset >= 4)
    assert await client.poll() == ["create three", "create four"]
    assert await client.say("0::") == "1"
    assert await client.poll() == [NO_SESSION]
    assert await client.say(subscribe()) == NO_SESSION


@live
async def test_no_session_is_logged(site: Make, ear: Ear) -> None:
    made = site()
    client = await poller(made.port, "/observer")
    async with peer(made.port) as other:
        ear.secrets += [client.session, other.session]
    assert "GET /socket.io/1/xhr-polling 200" in ear.text


@live
async def test_a_session_that_never_was(site: Make) -> None:
    made = site(unadmitted=2)
    for session in ("c-never-was-this-one", "x"):
        assert await Poller(made.port, session).poll() == [NO_SESSION]
        assert await Poller(made.port, session).say(subscribe()) == NO_SESSION
    assert (await ask(made.port, "/socket.io/1/jsonp-polling/x?i=1", **HOME))[2].decode() == f'io.j[1]("{NO_SESSION}");'
    # Nor one that was handed out too many handshakes ago.
    first, *others = [await handshake(made.port) for _ in range(3)]
    assert await Poller(made.port, first).poll() == [NO_SESSION]
    assert await Poller(made.port, others[0]).poll() == ["1::"]


@live
async def test_one_too_many_is_sent_away(site: Make) -> None:
    made = site(connections=1)
    first = await poller(made.port)
    second = Poller(made.port, await handshake(made.port))
    assert (await ask(made.port, second.path))[0] == 503
    assert await second.poll() == [NO_SESSION]
    assert await first.say("0::") == "1"
    await poller(made.port)


@live
async def test_a_member_is_known_by_its_cookie_when_it_begins_to_poll(site: Make) -> None:
    made = site()
    client = await poller(made.port, "/accounts", Cookie="member=7")
    assert await client.say(subscribe("/nothing")) == "1"
    assert await client.poll() == [UNAUTHORIZED]


@live
async def test_bodies_have_bounds(site: Make) -> None:
    made = site(max_body=1000, max_messages=2)
    client = await poller(made.port)
    for body, status in [("x" * 1001, 413), ("\ufffd3\ufffd2::" * 3, 400), ("\ufffdx", 400)]:
        assert (await ask(made.port, client.path, body))[0] == status
    assert await client.say("2::") == "1"


@live
async def test_scripts_and_forms(site: Make) -> None:
    made = site()
    client = Poller(made.port, await handshake(made.port), "jsonp-polling")
    assert (await ask(made.port, f"{client.path}?i=0", **HOME))[2] == b'io.j[0]("1::");'
    assert await client.say("d=" + quote(json.dumps(subscribe()))) == "1"
    await asyncio.to_thread(made.write, "</script>\u2028")
    status, headers, body = await ask(made.port, f"{client.path}?i=12", **HOME)
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert body.startswith(b'io.j[12]("')
    assert b"\\u2028" in body
    for form in ("", "d=x", "d=1", "e=1", "d=%22a%22&d=%22b%22", "d=" + "[" * 900):
        assert (await ask(made.port, client.path, form))[0] == 400


@live
async def test_who_leaves_a_poll_is_forgotten(site: Make) -> None:
    made = site()
    client = await poller(made.port, "/observer")
    waiting = asyncio.create_task(client.poll())
    await eventually(lambda: client.session in [each.id for each in made.polled])
    waiting.cancel()
    await eventually(lambda: not made.server._lobby.conversations)
    assert await client.poll() == [NO_SESSION]


@live
async def test_a_server_that_stops_says_so_to_who_waits(site: Make) -> None:
    made = site()
    client, idle = await poller(made.port, "/observer"), await poller(made.port)
    waiting = asyncio.create_task(client.poll())
    await eventually(lambda: client.session in [each.id for each in made.polled])
    assert idle.session not in [each.id for each in made.polled]
    async with asyncio.timeout(2):
        await asyncio.to_thread(made.realtime.stop)
    assert await waiting == [NO_SESSION]


@live
async def test_an_answer_that_cannot_be_given_ends_no_later_than_others(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site()
    monkeypatch.setattr(mailbox, "AWAY", 0.05)
    script = Poller(made.port, await handshake(made.port), "jsonp-polling").path
    assert (await ask(made.port, f"{script}?i=%ff", **HOME))[0] == 400
    await eventually(lambda: not made.server._lobby.conversations)
