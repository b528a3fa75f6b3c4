"""Rules, users and rows: refusals that reveal nothing, and an application's mistakes that stay its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from sqla_realtime import Identity
from sqla_realtime.hub.doors import Guest, Handshake, Place, Refused
from sqla_realtime.schema.assembly import Assembly
from sqla_realtime.schema.channels import Pattern
from sqla_realtime.schema.registry import Channel, Registry
from sqla_realtime.server.doors import Application, ApplicationDoorkeeper, Workers
from sqla_realtime.server.tokens import sign
from sqla_realtime.settings import Settings
from tests.support.models import Page, PageOut
from tests.support.peer import Peer
from tests.support.scene import ALIKE, PAGES, SECRET, Ear, Scene, eventually, live, refused

Make = Callable[..., Scene]


@live
async def test_who_can_not_be_asked_any_more_refuses_nobody(scene: Make, ear: Ear) -> None:
    """Threads take no more work from the moment when the interpreter begins to end."""
    made = scene()
    made.server._askers.close()
    async with Peer(made.port) as peer:
        await peer.hello()
        await peer.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
        assert await peer.closed() == (4500, "restarting")
    assert "rule-failed" not in ear.text


# Channels that are not to be had by somebody who has not signed in, for every reason that there is.
CLOSED = [
    "nothing", "projects", "projects/1", "projects/1/pages/", "Projects/1/pages", "projects//pages", "projects/x/pages",
    "projects/01/pages", "projects/+1/pages", "projects/1.0/pages", "projects/%31/pages", "projects/1/pages%00", "/", "%", "..",
    "projects/{project_id}/pages", "members/1", "vault/1", "vault/2", "banks/1", "projects/" + "9" * 200 + "/pages",
    "names/%00", "projects/9223372036854775808/pages", "projects/-9223372036854775809/pages",
]  # fmt: skip


@live
async def test_every_refusal_is_the_same(scene: Make, ear: Ear) -> None:
    made = scene(development=False)
    made.write()
    async with made.canary(), Peer(made.port) as peer:
        await peer.hello()
        for number, channel in enumerate(CLOSED):
            assert await refused(peer, channel, number) == ALIKE, channel
            made.write()
        # One request, as many answers.
        await peer.say({"type": "subscribe", "id": 99, "channels": ["vault/1", PAGES, "nothing"]})
        answers = [await peer.hear() for _ in range(3)]
        assert sorted(answer["type"] for answer in answers) == ["error", "error", "subscribed"]


@live
async def test_the_bytes_differ_by_the_question_alone(scene: Make) -> None:
    made = scene(development=False)
    async with Peer(made.port) as peer:
        await peer.hello()
        raw = []
        for channel in ("vault/1", "vaulx/1", "banks/1"):
            await peer.say({"type": "subscribe", "id": 5, "channels": [channel]})
            raw.append(str(await peer.socket.recv()).replace(channel, "?"))
        assert raw[0] == raw[1] == raw[2]


@live
async def test_development_explains(scene: Make) -> None:
    made = scene()
    async with Peer(made.port) as peer:
        await peer.hello()
        assert "No published pattern" in (await refused(peer, "nothing"))["fix"]
        assert "did not return True" in (await refused(peer, "vault/1"))["fix"]
        assert '@realtime.channel("banks/{bank}")\ndef may_join(user, bank)' in (await refused(peer, "banks/1"))["fix"]


@live
async def test_a_refused_reload_ends_the_subscription(scene: Make) -> None:
    made = scene()
    open_now = [True]
    made.realtime.publish(Page, schema=PageOut, channel="doors/{project_id}")
    made.realtime.channel("doors/{project_id}")(lambda user, project_id: open_now[0])
    async with made.canary() as bird:
        assert (await bird.subscribe("doors/1", number=2))["type"] == "subscribed"
        open_now[0] = False
        assert await refused(bird, "doors/1", 3) | {"fix": ""} == {**ALIKE, "fix": ""}
        # From here on the canary must hear pages of its one channel alone.


# Rules and what they can do wrong.


class Odd:
    """Says that it is equal to everything, and will not be taken for true or false, like an SQL expression."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("Boolean value of this clause is not defined")


async def admit(user: Any, project_id: int) -> bool:
    await asyncio.sleep(0)
    return project_id == 1


class Callables:
    """Rules need not be functions."""

    async def __call__(self, user: Any, project_id: int) -> bool:
        return await admit(user, project_id)


def raises(error: BaseException) -> Callable[..., bool]:
    def rule(user: Any, project_id: int) -> bool:
        raise error

    return rule


def araises(error: BaseException) -> Callable[..., Any]:
    async def rule(user: Any, project_id: int) -> bool:
        raise error

    return rule


@pytest.mark.parametrize(
    "rule", [admit, Callables(), lambda user, project_id: admit(user, project_id)], ids=lambda each: type(each).__name__
)
def test_rules_may_be_asynchronous(scene: Make, rule: Any) -> None:
    @live
    async def story() -> None:
        made = scene()
        made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}", join=rule)
        async with made.canary(), Peer(made.port) as peer:
            await peer.hello()
            assert (await peer.subscribe("rooms/1"))["type"] == "subscribed"
            assert (await refused(peer, "rooms/2"))["code"] == "forbidden"

    story()


@pytest.mark.parametrize(
    "answer", [1, "yes", [1], object(), {"ok": True}, Odd(), 0, "", [], Page.id == 1], ids=lambda each: type(each).__name__
)
def test_what_is_not_true_refuses_and_is_told_to_the_log(scene: Make, ear: Ear, answer: Any) -> None:
    @live
    async def story() -> None:
        made = scene()
        made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}", join=lambda user, project_id: answer)
        async with made.canary(), Peer(made.port) as peer:
            await peer.hello()
            assert (await refused(peer, "rooms/1"))["code"] == "forbidden"
            assert (await peer.subscribe(PAGES))["type"] == "subscribed"

    story()
    assert "The rule of rooms/{project_id} must return True or False" in ear.text


@pytest.mark.parametrize("answer", [False, None])
def test_false_and_nothing_are_said_quietly(scene: Make, ear: Ear, answer: Any) -> None:
    @live
    async def story() -> None:
        made = scene()
        made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}", join=lambda user, project_id: answer)
        async with Peer(made.port) as peer:
            await peer.hello()
            assert (await refused(peer, "rooms/1"))["code"] == "forbidden"

    story()
    assert "rule-failed" not in ear.text


ERRORS = [
    ValueError("x"), StopIteration(1), StopAsyncIteration(), SystemExit(3), KeyboardInterrupt(),
    asyncio.CancelledError(), TimeoutError(), RecursionError(),
]  # fmt: skip


@pytest.mark.parametrize("make", [raises, araises])
@pytest.mark.parametrize("error", ERRORS, ids=lambda each: type(each).__name__)
def test_a_rule_that_raises_refuses(scene: Make, ear: Ear, make: Callable[..., Any], error: BaseException) -> None:
    @live
    async def story() -> None:
        made = scene(development=False)
        made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}", join=make(error))
        async with made.canary(), Peer(made.port) as peer:
            await peer.hello()
            assert await refused(peer, "rooms/1") == ALIKE
            assert (await peer.subscribe(PAGES))["type"] == "subscribed"

    story()
    assert "The rule of rooms/{project_id} raised, so nobody is admitted. [rule-failed]" in ear.text
    ear.tracebacks = ear.text.count("Traceback (most")
    assert ear.tracebacks >= 1


@contextmanager
def opened(gate: threading.Event) -> Iterator[None]:
    """Whatever happens, nobody waits at the gate after this."""
    try:
        yield
    finally:
        gate.set()


@live
async def test_slow_rules_keep_no_commit_waiting(scene: Make) -> None:
    made = scene()
    gate, inside = threading.Event(), threading.Semaphore(0)

    def slow(user: Any, project_id: int) -> bool:
        inside.release()
        return gate.wait(30)

    made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}", join=slow)
    with opened(gate):
        async with made.canary() as bird, Peer(made.port) as peer:
            await peer.hello()
            await peer.say({"type": "subscribe", "id": 1, "channels": ["rooms/1"]})
            await asyncio.to_thread(inside.acquire)
            for _ in range(5):
                made.write()
                await bird.until(lambda message: "commit" in message)
            # Others come in meanwhile, and the slow one's own connection answers in its turn.
            async with Peer(made.port) as other:
                await other.hello()
                assert (await other.subscribe(PAGES))["type"] == "subscribed"
            await peer.say({"type": "ping"})
            gate.set()
            kinds = [(await peer.hear())["type"] for _ in range(2)]
            assert sorted(kinds) == ["pong", "subscribed"]


@live
async def test_a_client_that_left_during_its_rule_joins_nothing(scene: Make) -> None:
    made = scene()
    gate, inside = threading.Event(), threading.Semaphore(0)

    def slow(user: Any, project_id: int) -> bool:
        inside.release()
        return gate.wait(30)

    made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}", join=slow)
    with opened(gate):
        async with made.canary():
            async with Peer(made.port) as peer:
                await peer.hello()
                await peer.say({"type": "subscribe", "id": 1, "channels": ["rooms/1", "rooms/2"]})
                await asyncio.to_thread(inside.acquire)
            await eventually(lambda: len(made.connections) == 1)
            gate.set()


def test_stop_does_not_wait_for_a_rule(scene: Make) -> None:
    made = scene()
    gate, inside = threading.Event(), threading.Semaphore(0)

    def slow(user: Any, project_id: int) -> bool:
        inside.release()
        return gate.wait(30)

    made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}", join=slow)

    @live
    async def story() -> None:
        async with Peer(made.port) as peer:
            await peer.hello()
            await peer.say({"type": "subscribe", "id": 1, "channels": ["rooms/1"]})
            await asyncio.to_thread(inside.acquire)
            await asyncio.to_thread(made.realtime.stop)
            assert (await peer.closed())[0] == 4500
            gate.set()

    with opened(gate):
        story()


# Who somebody is.


@live
async def test_identify_turns_a_token_into_a_user(scene: Make) -> None:
    made = scene(secret=SECRET)
    seen: list[Any] = []

    @made.realtime.identify
    def load(identity: Identity) -> Any:
        return None if identity.id == "gone" else {"id": identity.id, "role": identity.claims["role"]}

    made.realtime.publish(Page, schema=PageOut, channel="rooms/{project_id}")

    @made.realtime.channel("rooms/{project_id}")
    def rule(user: Any, project_id: int) -> bool:
        seen.append((user, project_id))
        return user is not None

    async with Peer(made.port) as peer:
        await peer.hello(made.realtime.token(7, role="editor"))
        assert (await peer.subscribe("rooms/1"))["type"] == "subscribed"
    async with Peer(made.port) as peer:
        await peer.hello(made.realtime.token("gone", role="editor"))
        await refused(peer, "rooms/1")
    async with Peer(made.port) as peer:
        await peer.hello()
        await refused(peer, "rooms/1")
    assert seen == [({"id": "7", "role": "editor"}, 1), (None, 1), (None, 1)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: type(each).__name__)
def test_an_identify_that_raises_ends_that_connection(scene: Make, ear: Ear, error: BaseException) -> None:
    """Its database may be down: the client comes back later."""

    @live
    async def story() -> None:
        made = scene(secret=SECRET)

        @made.realtime.identify
        def load(identity: Identity) -> Any:
            raise error

        async with made.canary():
            async with Peer(made.port) as peer:
                token = made.realtime.token(7)
                ear.secrets.append(token)
                await peer.say({"type": "hello", "token": token})
                assert (await peer.closed())[0] == 4500
                assert [message["type"] for message in peer.log] == ["bye"]
            async with Peer(made.port) as peer:
                assert (await peer.hello())["type"] == "hello"

    story()
    ear.tracebacks = ear.text.count("Traceback (most")
    assert "[message-failed]" in ear.text


@live
async def test_a_session_cookie_says_who_it_is_unless_a_token_does(scene: Make, ear: Ear) -> None:
    ear.secrets.append("sid-")
    asked: list[str] = []

    def cookie(handshake: Handshake) -> Identity | None:
        asked.append(handshake.address)
        value = handshake.headers["cookie"]
        if value == "sid-broken":
            raise RuntimeError("the session store is down")
        return Identity(value[4:], {}) if value.startswith("sid-") else None

    made = scene(secret=SECRET)
    made.realtime.stop()
    made.realtime.configure({}, session_cookie=cookie)
    made.realtime.start()
    for value, known in (("sid-7", True), ("other", False)):
        async with Peer(made.port, additional_headers={"Cookie": value}) as peer:
            await peer.hello()
            kind = (await peer.subscribe("members/1"))["type"]
            assert kind == ("subscribed" if known else "error")
    assert asked == ["127.0.0.1", "127.0.0.1"]
    async with Peer(made.port, additional_headers={"Cookie": "sid-broken"}) as peer:
        await peer.hello(made.realtime.token(7))
        assert (await peer.subscribe("members/1"))["type"] == "subscribed"
    async with Peer(made.port, additional_headers={"Cookie": "sid-broken"}) as peer:
        await peer.say({"type": "hello"})
        assert (await peer.closed())[0] == 4500
    async with Peer(made.port) as peer:
        await peer.hello()
        await refused(peer, "members/1")
    ear.tracebacks = 1


@pytest.mark.parametrize("name", ["self", "work", "function", "arguments", "named"])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_placeholder_may_have_any_name(name: str, asynchronous: bool) -> None:
    def rule(user: Any, /, **parameters: Any) -> bool:
        return parameters == {name: 5}

    async def awaited(user: Any, /, **parameters: Any) -> bool:
        return rule(user, **parameters)

    class Rules:
        @staticmethod
        def joinable(text: str) -> Channel:
            return Channel(text, Pattern(f"x/{{{name}}}"), {name: 5}, (), awaited if asynchronous else rule)

    application = Application()
    workers = Workers(application, 1, "test")
    doorkeeper = ApplicationDoorkeeper(Rules(), Settings(), application, workers)  # type: ignore[arg-type]
    try:
        assert asyncio.run(doorkeeper.admit(None, "x/5")) == f"x/{{{name}}}"
    finally:
        workers.close()


# Who somebody is by now.


def door(application: Application) -> ApplicationDoorkeeper:
    return ApplicationDoorkeeper(Registry(), Settings(secret=SECRET), application, Workers(application, 1, "test"))


@live
async def test_a_token_says_until_its_end_who_its_bearer_is_and_the_application_what_that_means() -> None:
    roles = {"7": "admin"}
    doors = door(Application(identify=lambda identity: roles.get(identity.id)))
    guest = await doors.identify(Handshake(), sign(SECRET, "HS256", 7, 60, {"team": 3}))
    assert (guest.user, guest.id, guest.identity.claims["team"]) == ("admin", "7", 3)
    roles["7"] = "guest"
    again = await doors.review(Handshake(), guest)
    assert (again.user, again.id, again.expires, again.identity) == ("guest", "7", guest.expires, guest.identity)
    roles.clear()
    assert (await doors.review(Handshake(), again)).user is None
    assert "team" not in repr(guest)


@live
async def test_a_session_that_has_ended_is_nobodys() -> None:
    sessions = {"one": "7"}

    def cookie(handshake: Handshake) -> Identity | None:
        found = sessions.get(handshake.headers["cookie"])
        return None if found is None else Identity(found, {})

    doors = door(Application(session_cookie=cookie))
    handshake = Handshake({"cookie": "one"})
    guest = await doors.identify(handshake, None)
    assert (guest.user.id, guest.id) == ("7", "7")
    assert (await doors.review(handshake, guest)).user.id == "7"
    sessions.clear()
    again = await doors.review(handshake, guest)
    assert again.user is None
    assert again.id == "7", "a later revoke() must still find it"
    # Who has renewed with a token is who the token says, whatever became of the session.
    renewed = await doors.identify(handshake, sign(SECRET, "HS256", 7, 60, {}))
    assert (await doors.review(handshake, renewed)).user.id == "7"


@live
async def test_nobody_stays_nobody() -> None:
    doors = door(Application())
    guest = await doors.identify(Handshake(), None)
    assert await doors.review(Handshake(), guest) == guest == Guest()


# Assemblies.


class Face(BaseModel):
    name: str


class Note(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def check(cls, text: str) -> str:
        if text == "crash":
            raise ZeroDivisionError
        if text == "bad":
            raise ValueError("this is bad")
        return text


def assembly(ask: Callable[[ApplicationDoorkeeper], Any]) -> Any:
    registry, application = Registry(), Application()
    registry.rule("rooms/{room}", lambda user, room: room == "1", Assembly("rooms/{room}", Face, {"note": Note}))
    registry.rule("quiet", lambda user: True)
    workers = Workers(application, 1, "test")
    try:
        return asyncio.run(ask(ApplicationDoorkeeper(registry, Settings(), application, workers)))
    except Refused as refused:
        return refused.code, refused.message
    finally:
        workers.close()


def test_a_channel_without_rows_is_joined_for_its_assembly() -> None:
    assert assembly(lambda door: door.admit(None, "rooms/1")) == "rooms/{room}"
    assert assembly(lambda door: door.admit(None, "rooms/2")) == ("forbidden", ALIKE["message"])
    assert assembly(lambda door: door.admit(None, "quiet")) == ("forbidden", ALIKE["message"])

    async def find(door: ApplicationDoorkeeper) -> list[Place | None]:
        return [door.find(name) for name in ("rooms/1", "quiet", "nothing")]

    shown = Place("rooms/{room}", rows=False, open=False, ruled=True, members=True, events=True)
    assert assembly(find) == [shown, Place("quiet", rows=False, open=False, ruled=True), None]


def test_what_is_shown_of_a_user(ear: Ear) -> None:
    assert assembly(lambda door: door.profile(SimpleNamespace(name="Ann", email="a@x"), "rooms/1")) == '{"name":"Ann"}'
    assert "presence-failed" not in ear.text
    failed = ("presence-failed", "What is shown of a member could not be read.")
    assert assembly(lambda door: door.profile(SimpleNamespace(email="a@x"), "rooms/1")) == failed
    assert "What is shown of a member of rooms/1 could not be read off the user. [presence-failed]" in ear.text
    assert assembly(lambda door: door.profile(None, "quiet"))[0] == "no-presence"
    ear.tracebacks = 1


def test_what_is_told_of_an_event(ear: Ear) -> None:
    def event(name: str, data: str, channel: str = "rooms/1") -> Any:
        return assembly(lambda door: door.event(channel, name, data))

    assert event("note", '{"text":"x"}') == '{"text":"x"}'
    assert event("cry", "{}")[0] == "unknown-event"
    assert event("note", "{}", "quiet")[0] == "no-presence"
    assert event("note", '{"text":5}') == ("invalid-event", "text: Input should be a valid string")
    assert event("note", '{"text":"x","from":"y"}') == ("invalid-event", "from: Extra inputs are not permitted")
    assert event("note", "[]") == ("invalid-event", "data: Input should be an object")
    assert event("note", '{"text":"bad"}') == ("invalid-event", "text: Value error, this is bad")
    assert "presence-failed" not in ear.text
    assert event("note", '{"text":"crash"}')[0] == "presence-failed"
    ear.tracebacks = 1
