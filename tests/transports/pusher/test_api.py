"""The HTTP API, asked by Pusher's own libraries as they are, and by requests that are not signed as they must be."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlencode

import pusher
import pytest
from pusher.errors import PusherBadAuth, PusherBadRequest
from sqlalchemy import Engine
from websockets.asyncio.client import connect

from sqla_realtime import Realtime, anyone
from sqla_realtime.protocol.pusher_api import BODY
from sqla_realtime.protocol.pusher_signatures import SKEW, request_text, sign
from tests.support.node_pusher import Node
from tests.support.scene import Ear, Scene, live
from tests.support.web import ask
from tests.transports.pusher.test_socket import APP

Make = Callable[..., Scene]
# Signs by itself what the library would have an application's endpoint sign.
CLIENT = """
var server = new PusherServer({appId: "1", key: "app-key", secret: "a secret of the application",
    host: "127.0.0.1", port: "%(port)d", useTLS: false})
var custom = member => ({customHandler: ({socketId, channelName: name}, done) =>
    done(null, server.authorizeChannel(socketId, name, name.startsWith("presence-") ? member : undefined))})
var client = (name, user) => {
    const made = new Pusher("app-key", {...options(%(port)d), channelAuthorization: custom({user_id: user}), userAuthentication:
        {customHandler: ({socketId}, done) => done(null, server.authenticateUser(socketId, {id: user}))}})
    made.connection.bind("state_change", ({current}) => say(name, current, made.connection.socket_id))
    made.join = channel => made.subscribe(channel).bind_global((event, data) => say(name, event, channel, data))
    return made
}
var told = promise => promise.then(async answer => say("answer", answer.status, await answer.json()))
"""

# Has the test answer whoever asks for a signature.
ASKING = """...(asked => {
    globalThis.answer = (number, found) => asked[number](null, found)
    const customHandler = ({socketId, channelName}, done) => say("asks", asked.push(done) - 1, socketId, channelName ?? null)
    return {channelAuthorization: {customHandler}, userAuthentication: {customHandler}}
})([])"""
# A master key of 32 bytes, that the application's servers share.
SHARED = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
SEALED = """
var sealed = new PusherServer({appId: "1", key: "app-key", secret: "a secret of the application",
    host: "127.0.0.1", port: "%(port)d", useTLS: false, encryptionMasterKeyBase64: "%(key)s"})
var sealing = {customHandler: ({socketId, channelName}, done) => done(null, sealed.authorizeChannel(socketId, channelName))}
var reader = new Pusher("app-key", {...options(%(port)d), channelAuthorization: sealing})
reader.subscribe("private-encrypted-room").bind_global((event, data) => say(event, data))
"""


@pytest.fixture
def made(scene: Make) -> Scene:
    made = scene(pusher=[APP])
    made.realtime.channel("news")(anyone)
    return made


@pytest.fixture
def node(made: Scene) -> Iterator[Node]:
    with Node() as node:
        node.run(CLIENT % {"port": made.port})
        yield node


def heard(node: Node, name: str, event: str, channel: str | None = None) -> list[Any]:
    return node.until(lambda words: words[:2] == [name, event] and channel in (None, *words[2:3]))


def test_the_library_for_python_publishes_and_asks(made: Scene, node: Node) -> None:
    library = pusher.Pusher(app_id="1", key=APP["key"], secret=APP["secret"], host="127.0.0.1", port=made.port, ssl=False)
    node.run('var ann = client("ann", "7"); ann.join("news"); ann.join("presence-room"); ann.signin()')
    socket = heard(node, "ann", "connected")[2]
    for channel in ("news", "presence-room"):
        heard(node, "ann", "pusher:subscription_succeeded", channel)
    library.trigger(["news", "private-nobody"], "first", {"a": "é\n"})
    assert heard(node, "ann", "first")[2:] == ["news", {"a": "é\n"}]
    library.trigger("news", "hidden", {}, socket)
    library.trigger_batch([{"channel": "news", "name": "second", "data": "text"}])
    assert heard(node, "ann", "second")[3] == "text"
    assert not [words for words in node.words if words[1] == "hidden"]
    assert library.channels_info() == {"channels": {"news": {}, "presence-room": {}}}
    assert library.channels_info("presence-", ["user_count"]) == {"channels": {"presence-room": {"user_count": 1}}}
    assert library.channel_info("news", ["subscription_count"]) == {"occupied": True, "subscription_count": 1}
    assert library.channel_info("nobody") == {"occupied": False}
    assert library.users_info("presence-room") == {"users": [{"id": "7"}]}
    with pytest.raises(PusherBadRequest):
        library.users_info("news")
    with pytest.raises(PusherBadRequest):
        library.channels_info(attributes=["user_count"])
    with pytest.raises(PusherBadRequest):
        library.trigger("news", "pusher:error", {})
    assert library.terminate_user_connections("8") == {}
    node.run("ann.user.signinDonePromise.then(() => say('signed in'))")
    node.until("signed in")
    library.terminate_user_connections("7")
    assert heard(node, "ann", "disconnected")
    for wrong in ({"secret": "another secret, that is wrong"}, {"key": "other"}, {"app_id": "2"}):
        settings = {"app_id": "1", "key": APP["key"], "secret": APP["secret"]} | wrong
        other = pusher.Pusher(host="127.0.0.1", port=made.port, ssl=False, **settings)
        with pytest.raises(PusherBadAuth, match="There is no such application, or it has not signed this"):
            other.trigger("news", "first", {})


def test_the_library_for_node_publishes_and_asks(made: Scene, node: Node) -> None:
    node.run('var bob = client("bob", "8"); bob.join("news"); bob.join("private-cache-x"); bob.signin()')
    heard(node, "bob", "pusher:cache_miss")
    node.run('told(server.trigger(["news", "private-cache-x"], "first", {a: 1}, {info: "subscription_count"}))')
    assert node.until("answer")[1:] == [
        200, {"channels": {"news": {"subscription_count": 1}, "private-cache-x": {"subscription_count": 1}}}
    ]  # fmt: skip
    node.run('var eve = client("eve", "9"); eve.join("private-cache-x")')
    assert heard(node, "eve", "first")[3] == {"a": 1}
    node.run('told(server.get({path: "/channels/private-cache-x", params: {info: "cache,subscription_count"}}))')
    [told] = node.until("answer")[2:]
    assert 1790 < told["cache"].pop("ttl") <= 1800
    assert told == {"occupied": True, "cache": {"data": '{"a":1}'}, "subscription_count": 2}
    node.run('told(server.get({path: "/channels/cache-nothing", params: {info: "cache"}}))')
    assert node.until("answer")[1:] == [200, {"occupied": False}]
    node.run('told(server.triggerBatch([{channel: "news", name: "second", data: {b: 2}}]))')
    assert node.until("answer")[1:] == [200, {}]
    node.run(
        'told(server.triggerBatch([{channel: "news", name: "third", data: 1, info: "subscription_count"}, '
        '{channel: "presence-x", name: "third", data: 1, info: "user_count"}, {channel: "news", name: "third", data: 1}]))'
    )
    assert node.until("answer")[1:] == [200, {"batch": [{"subscription_count": 1}, {"user_count": 0}, {}]}]
    node.run('told(server.get({path: "/channels", params: {filter_by_prefix: "private-"}}))')
    assert node.until("answer")[1:] == [200, {"channels": {"private-cache-x": {}}}]
    node.run('bob.user.bind("direct", data => say("direct", data)); bob.user.signinDonePromise.then(() => say("signed in"))')
    node.until("signed in")
    node.run('told(server.sendToUser("8", "direct", {c: 3}))')
    assert node.until("direct")[1] == {"c": 3}
    node.run('told(server.terminateUserConnections("8"))')
    heard(node, "bob", "disconnected")


WATCH = """
var watch = (name, user, watchlist) => {
    const made = new Pusher("app-key", {...options(%(port)d), userAuthentication: {customHandler: ({socketId}, done) =>
        done(null, server.authenticateUser(socketId, {id: user, watchlist}))}})
    made.user.watchlist.bind_global((event, {user_ids}) => say(name, event, user_ids))
    made.connection.bind("error", ({data}) => say(name, "error", data.code))
    made.signin()
    return made
}
"""


def test_pusher_js_is_told_of_those_whom_it_watches(scene: Make) -> None:
    made = scene(pusher=[APP | {"watchlists": True}])
    with Node() as node:
        node.run((CLIENT + WATCH) % {"port": made.port})
        node.run('var ann = watch("ann", "7", ["8", "9"])')
        assert heard(node, "ann", "offline")[2] == ["8", "9"]
        node.run('var bob = watch("bob", "8", ["7"])')
        assert heard(node, "bob", "online")[2] == ["7"]
        assert heard(node, "ann", "online")[2] == ["8"]
        node.run('watch("eve", "9", Array.from({length: 101}, (_, number) => `user ${number}`))')
        assert heard(node, "eve", "error")[2] == 4302


def test_what_the_library_for_python_signs_lets_in(made: Scene, node: Node) -> None:
    library = pusher.Pusher(app_id="1", key=APP["key"], secret=APP["secret"], host="127.0.0.1", port=made.port, ssl=False)
    node.run(f"var cid = new Pusher('app-key', {{...options({made.port}), {ASKING}}})")
    node.run("cid.join = name => cid.subscribe(name).bind_global((event, data) => say(event, name, data))")
    node.run('cid.user.bind("direct", data => say("direct", data))')
    node.run('["private-room", "presence-room"].forEach(cid.join); cid.signin()')
    for _ in range(3):
        _, number, socket, channel = node.until("asks")
        if channel is None:
            answer = library.authenticate_user(socket, {"id": "7"})
        elif channel.startswith("presence-"):
            answer = library.authenticate(channel, socket, {"user_id": "7", "user_info": {"name": "Cid"}})
        else:
            answer = library.authenticate(channel, socket)
        node.run(f"answer({number}, {json.dumps(answer)})")
    node.run("cid.user.signinDonePromise.then(() => say('signed in', cid.user.user_data))")
    wanted = {"private-room", "presence-room", "signed in"}
    while wanted:
        words = node.until(lambda words: words[0] in ("pusher:subscription_succeeded", "signed in"))
        wanted.discard("signed in" if words[0] == "signed in" else words[1])
    assert library.users_info("presence-room") == {"users": [{"id": "7"}]}
    library.send_to_user("7", "direct", {"c": 3})
    assert node.until("direct")[1] == {"c": 3}


def test_what_the_libraries_encrypt_their_client_decrypts(made: Scene, node: Node) -> None:
    node.run(SEALED % {"port": made.port, "key": SHARED})
    node.until("pusher:subscription_succeeded")
    settings = {"app_id": "1", "key": APP["key"], "secret": APP["secret"], "encryption_master_key_base64": SHARED}
    library = pusher.Pusher(host="127.0.0.1", port=made.port, ssl=False, **settings)
    library.trigger("private-encrypted-room", "first", {"a": 1})
    assert node.until("first")[1] == {"a": 1}
    node.run('told(sealed.trigger("private-encrypted-room", "second", {b: 2}))')
    assert node.until("second")[1] == {"b": 2}


def signed(path: str, body: bytes = b"", *, method: str = "GET", late: float = 0, **query: str) -> str:
    """A request's path with its query."""
    query |= {"auth_key": APP["key"], "auth_timestamp": str(int(time.time() - late)), "auth_version": "1.0"}
    if body:
        query["body_md5"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
    signature = sign(APP["secret"], request_text(method, path, query.items()))
    return f"{path}?{urlencode(query | {'auth_signature': signature})}"


@live
async def test_what_is_not_signed_so_is_refused(scene: Make, ear: Ear) -> None:
    made = scene(pusher=[APP])
    ear.secrets.append(APP["secret"])
    body = json.dumps({"name": "n", "channels": ["news"], "data": "1"}).encode()
    good = signed("/apps/1/events", body, method="POST")
    alike = b"There is no such application, or it has not signed this.\n"
    for path, data, status, said in [
        (good, body, 200, b"{}"),
        (good, body + b" ", 401, alike),
        (good + "&info=x", body, 401, alike),
        (good.replace("/apps/1/", "/apps/2/"), body, 401, alike),
        ("/apps/1/events", body, 401, alike),
        (signed("/apps/1/events", body), body, 401, alike),
        (signed("/apps/1/events", body, method="POST", late=SKEW + 60), body, 401, None),
        (signed("/apps/1/events", body, method="POST", late=-SKEW - 60), body, 401, None),
        (signed("/apps/1/events", b"x", method="POST"), b"x", 400, b"The body is not JSON.\n"),
        (signed("/apps/1/events", b"x" * (BODY + 1), method="POST"), b"x" * (BODY + 1), 413, None),
    ]:
        answer, _, text = await ask(made.port, path, data)
        assert answer == status, (path, text)
        assert said is None or text == said
    for path in ("/apps/1/channels/a~b", "/apps/1/channels/news/users"):
        assert (await ask(made.port, signed(path)))[0] == 400
    assert (await ask(made.port, signed("/apps/1/channels/news", info="cache")))[0] == 400
    for path in ("/apps/1/channels", "/apps/1/channels/news", "/apps/1/channels/presence-x/users"):
        assert (await ask(made.port, path))[0] == 401


@live
async def test_a_page_of_another_origin_may_not_even_ask(scene: Make) -> None:
    made = scene(pusher=[APP], development=False)
    assert (await ask(made.port, signed("/apps/1/channels"), Origin="https://evil.example"))[0] == 403
    assert (await ask(made.port, signed("/apps/1/channels")))[0] == 200


@live
async def test_with_a_shared_log_an_event_reaches_the_clients_of_every_process(
    realtime: Callable[..., Realtime], sqlite: Engine, ear: Ear
) -> None:
    here, there = (Scene(realtime(broker="database", pusher=[APP]), sqlite, fill=number == 0) for number in range(2))
    here.realtime.metadata.create_all(sqlite)
    for each in (here, there):
        each.realtime.channel("news")(anyone)
        each.realtime.start()
    async with connect(f"ws://127.0.0.1:{there.port}/app/app-key?protocol=7") as socket:
        await socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "news"}}))
        while json.loads(await socket.recv())["event"] != "pusher_internal:subscription_succeeded":
            pass
        body = json.dumps({"name": "first", "channels": ["news"], "data": "1"}).encode()
        assert (await ask(here.port, signed("/apps/1/events", body, method="POST"), body))[0] == 200
        assert json.loads(await socket.recv()) == {"event": "first", "channel": "news", "data": "1"}


@live
async def test_a_parameter_that_was_not_signed_is_none(scene: Make) -> None:
    made = scene(pusher=[APP])
    path = signed("/apps/1/channels/news", info="subscription_count").replace("info=", "INFO=")
    path = path.replace("?", "?info=cache&")
    assert (await ask(made.port, path))[2] == b'{"occupied": false, "subscription_count": 0}'


@live
async def test_a_log_that_does_not_take_it_is_said_without_a_traceback(
    scene: Make, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene(pusher=[APP])
    failed: Future[None] = Future()
    failed.set_exception(LookupError("as a driver has it"))
    for desk in made.server._desks:
        monkeypatch.setattr(desk, "publish", lambda *events: failed)
    body = json.dumps({"name": "n", "channels": ["news"], "data": "1"}).encode()
    for path, data in [("/apps/1/events", body), ("/apps/1/users/7/terminate_connections", b"{}")]:
        status, _, text = await ask(made.port, signed(path, data, method="POST"), data)
        assert (status, text) == (503, b"The log does not take it.\n")
    assert "LookupError" in ear.text
    assert "Traceback" not in ear.text
