"""Flask, in this process: configuration, the session cookie, the script tag, and a start that no request can break."""

from __future__ import annotations

import html
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import pytest
from flask import Flask, current_app, render_template_string, session
from flask_sqlalchemy import SQLAlchemy
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime import Commit, Identity, Realtime, anyone, signed_in
from sqla_realtime.errors import AlreadyInitialised, BadSetting, NotEnabled
from sqla_realtime.integrations.flask import _Wiring
from sqla_realtime.transports.family import can_share
from tests.support.peer import Peer
from tests.support.scene import Ear, live, refused
from tests.support.wire import Wire

KEY = "the application's own secret key"
MakeRealtime = Callable[..., Realtime]


class NoteOut(BaseModel):
    id: int
    text: str


class House:
    """A Flask application with notes, ready for init_app."""

    def __init__(self, realtime: Realtime, **config: Any) -> None:
        class Base(DeclarativeBase):
            pass

        self.db = SQLAlchemy(model_class=Base)
        db = self.db

        class Note(db.Model):  # type: ignore[name-defined]
            id: Mapped[int] = mapped_column(primary_key=True)
            text: Mapped[str]

        self.note = Note
        self.realtime = realtime
        self.app = Flask("notes")
        self.app.config.update(**{"SQLALCHEMY_DATABASE_URI": "sqlite://", "SECRET_KEY": KEY, **config})
        self.db.init_app(self.app)
        with self.app.app_context():
            self.db.create_all()
        self.app.add_url_rule("/", "page", lambda: render_template_string("{{ realtime_script() }}"))
        self.app.add_url_rule("/csp", "csp", lambda: render_template_string("{{ realtime_script('a\"b<c>&') }}"))
        self.app.add_url_rule("/add/<text>", "add", self.add)
        self.app.add_url_rule("/login/<int:user>", "login", self.login)

    def init(self) -> House:
        self.realtime.init_app(self.app, self.db)
        return self

    def add(self, text: str) -> str:
        self.db.session.add(self.note(text=text))
        self.db.session.commit()
        return "added"

    def login(self, user: int) -> str:
        session["user_id"] = user
        return "hello"


@pytest.fixture
def house(ear: Ear, realtime: MakeRealtime, tmp_path: Any) -> Iterator[Callable[..., House]]:
    ear.secrets.append(KEY)
    made: list[House] = []

    def make(settings: dict[str, Any] | None = None, **config: Any) -> House:
        house = House(realtime(**(settings or {})), SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/notes.db", **config)
        house.realtime.publish(house.note, schema=NoteOut, channel="notes", join=anyone)
        house.realtime.publish(house.note, schema=NoteOut, channel="mine", join=signed_in)
        made.append(house)
        return house

    yield make
    for each in made:
        each.realtime.stop()
        with each.app.app_context():
            each.db.engine.dispose()


def script(answer: Any) -> tuple[str, dict[str, str]]:
    """The attributes and the import map of the one script element that a page consists of."""
    found = re.fullmatch(r'<script type="importmap"([^<>]*)>([^<]*)</script>', answer.text)
    assert found, answer.text
    return html.unescape(found[1]), json.loads(found[2])["imports"]


# Starting.


def test_nothing_starts_before_a_request(house: Callable[..., House]) -> None:
    threads = threading.active_count()
    made = house().init()
    assert made.app.extensions["realtime"] is made.realtime
    assert threading.active_count() == threads
    with made.app.app_context():
        assert not made.realtime.running
    made.app.test_client().get("/")
    assert made.realtime.running


def test_any_request_starts_it_and_the_next_finds_it(house: Callable[..., House]) -> None:
    made = house().init()
    client = made.app.test_client()
    assert client.get("/nowhere").status_code == 404
    port = made.realtime.port
    client.get("/")
    assert made.realtime.running
    assert made.realtime.port == port


def test_testing_starts_nothing(house: Callable[..., House]) -> None:
    made = house(TESTING=True).init()
    assert made.app.test_client().get("/").status_code == 200
    assert not made.realtime.running
    made.realtime.start()
    assert made.realtime.running


def test_a_process_that_only_writes_starts_nothing(house: Callable[..., House]) -> None:
    made = house(REALTIME_EMBEDDED=False).init()
    assert made.app.test_client().get("/add/kept").text == "added"
    assert not made.realtime.running
    made.realtime.start()
    assert made.realtime.running


def test_a_stopped_one_is_started_by_the_next_request(house: Callable[..., House]) -> None:
    made = house().init()
    made.app.test_client().get("/")
    made.realtime.stop()
    made.app.test_client().get("/")
    assert made.realtime.running


def test_a_taken_port_is_logged_once_and_requests_go_on(house: Callable[..., House], ear: Ear) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = house({"port": taken.getsockname()[1]}).init()
        barrier = threading.Barrier(4)
        statuses = []

        def visit() -> None:
            client = made.app.test_client()
            barrier.wait()
            statuses.extend(client.get("/").status_code for _ in range(3))

        threads = [threading.Thread(target=visit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 12
    assert ear.text.count("[port-in-use]") == 1
    assert made.app.test_client().get("/add/kept").text == "added"
    assert not made.realtime.running


def test_the_port_of_another_application_is_told_with_a_log_that_is_shared_too(house: Callable[..., House], ear: Ear) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = house({"port": taken.getsockname()[1], "broker": "database"}).init()
        for _ in range(3):
            assert made.app.test_client().get("/").status_code == 200
    assert ear.text.count("[port-in-use]") == (1 if can_share() else 0)


def test_where_no_port_can_be_shared_one_process_takes_over_from_another(
    house: Callable[..., House], ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqla_realtime.server.lifecycle.can_share", lambda: False)
    monkeypatch.setattr("sqla_realtime.integrations.flask.RETRY", 0.0)
    first = house({"broker": "database"}).init()
    with first.app.app_context():
        first.realtime.metadata.create_all(first.db.engine)
    first.app.test_client().get("/")
    second = house({"broker": "database", "port": first.realtime.port}).init()
    for _ in range(2):
        assert second.app.test_client().get("/").status_code == 200
        assert not second.realtime.running
    assert "[port-" not in ear.text, "it is as it should be"
    first.realtime.stop()
    second.app.test_client().get("/")
    assert second.realtime.running


def test_greenlets_are_told_once_and_requests_go_on(
    house: Callable[..., House], ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqla_realtime.server.lifecycle.patched_by", lambda: "gevent")
    monkeypatch.setattr("sqla_realtime.integrations.flask.RETRY", 0.0)
    made = house().init()
    for _ in range(3):
        assert made.app.test_client().get("/").status_code == 200
    assert ear.text.count("[green-threads]") == 1


def test_without_a_db_the_first_request_says_what_is_missing(house: Callable[..., House]) -> None:
    made = house(PROPAGATE_EXCEPTIONS=True)
    made.realtime.init_app(made.app)
    with pytest.raises(NotEnabled, match=r"init_app\(app, db\)"):
        made.app.test_client().get("/")


def test_one_realtime_for_one_application(house: Callable[..., House], realtime: MakeRealtime) -> None:
    made = house().init()
    for again in (made.realtime, realtime()):
        with pytest.raises(AlreadyInitialised, match="already has a Realtime"):
            again.init_app(made.app, made.db)


# Settings.


def test_settings_come_from_the_config_and_arguments_win(house: Callable[..., House]) -> None:
    made = house({"subscriptions": 3}, REALTIME_SUBSCRIPTIONS=9, REALTIME_MAX_ERRORS=4, REALTIME_BASE="/live").init()
    assert (made.realtime.settings.subscriptions, made.realtime.settings.max_errors) == (3, 4)
    client = made.app.test_client()
    assert client.get("/live/realtime.js").status_code == 307
    assert client.get("/realtime/realtime.js").status_code == 404
    with Wire(made.realtime.port) as wire:
        assert wire.get("/live/realtime.js").status == 200


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"REALTIME_PROT": 1}, ["REALTIME_PROT", "port"]),
        ({"REALTIME_MAX_ERRORS": "many"}, ["max_errors", 'app.config["REALTIME_MAX_ERRORS"]']),
    ],
)
def test_a_wrong_key_is_named_at_once(house: Callable[..., House], config: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(BadSetting) as caught:
        house(**config).init()
    for name in names:
        assert name in str(caught.value)


def test_development_is_what_the_host_says(ear: Ear, tmp_path: Any) -> None:
    for debug, software, expected in ((False, "gunicorn/27", False), (True, "gunicorn/27", True), (False, "Werkzeug/3", True)):
        made = House(Realtime(port=0)).init()
        made.app.debug = debug
        try:
            made.app.test_client().get("/", environ_overrides={"SERVER_SOFTWARE": software})
            assert made.realtime.settings.development is expected
        finally:
            made.realtime.stop()
            with made.app.app_context():
                made.db.engine.dispose()


# The page.


def test_the_script_names_the_server_that_runs(house: Callable[..., House]) -> None:
    made = house().init()
    client = made.app.test_client()
    attributes, imports = script(client.get("/", base_url="http://app.example:5000"))
    folder = f"http://app.example:{made.realtime.port}/realtime"
    assert (attributes, imports.pop("/realtime/realtime.js")) == ("", f"{folder}/realtime.js")
    package = json.loads((resources.files("sqla_realtime") / "client" / "package.json").read_text("utf-8"))
    assert imports == {f"sqla-realtime{name[1:]}": folder + file["default"][1:] for name, file in package["exports"].items()}
    for base, host in (("https://[::1]:5000", "https://[::1]"), ("http://[::1]", "http://[::1]"), ("http://a.b", "http://a.b")):
        _, imports = script(client.get("/", base_url=base))
        assert imports["sqla-realtime"] == f"{host}:{made.realtime.port}/realtime/realtime.js"


@pytest.mark.parametrize("url", ["https://live.example.com/realtime", "/realtime", "/realtime/"])
def test_the_script_names_the_url_that_is_set(house: Callable[..., House], url: str) -> None:
    made = house(REALTIME_URL=url).init()
    _, imports = script(made.app.test_client().get("/"))
    assert imports["sqla-realtime"] == url.rstrip("/") + "/realtime.js"


def test_nothing_gets_out_of_the_script(house: Callable[..., House]) -> None:
    made = house(REALTIME_URL="https://x/</script><script>alert(1)</script><!--").init()
    client = made.app.test_client()
    _, imports = script(client.get("/"))
    assert imports["sqla-realtime"] == "https://x/</script><script>alert(1)</script><!--/realtime.js"
    attributes, _ = script(client.get("/csp"))
    assert attributes == ' nonce="a"b<c>&"'
    assert 'nonce="a&#34;b&lt;c&gt;&amp;"' in client.get("/csp").text


@pytest.mark.parametrize("host", ["evil.example", "x</script>", 'x"y', "x y", "a:b:c", "user@x", "", "x:99999999", "\xe9"])
def test_no_host_breaks_the_page(house: Callable[..., House], host: str) -> None:
    made = house().init()
    answer = made.app.test_client().get("/", headers={"Host": host})
    if answer.status_code == 200:
        script(answer)
    else:
        assert answer.status_code == 400


def test_the_module_is_found_where_the_page_is(house: Callable[..., House]) -> None:
    made = house().init()
    client = made.app.test_client()
    answer = client.get("/realtime/realtime.js", base_url="http://localhost:5000")
    assert answer.status_code == 307
    assert answer.location == f"http://localhost:{made.realtime.port}/realtime/realtime.js"
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/realtime/connection.js").location.endswith("/realtime/connection.js")


@pytest.mark.parametrize("name", ["a%0d%0aX-Evil:%201", "%00", "a%3Fb", "a%23b", "..%2f..%2fx", "%ff", "%22", "a%5cb", "é"])
def test_no_name_breaks_the_redirect(house: Callable[..., House], ear: Ear, name: str) -> None:
    made = house().init()
    answer = made.app.test_client().get(f"/realtime/{name}.js", base_url="http://localhost:5000")
    assert answer.status_code in (307, 404)
    if answer.status_code == 307:
        assert "X-Evil" not in answer.headers
        assert re.fullmatch(rf"http://localhost:{made.realtime.port}/realtime/[\w.~%-]+\.js", answer.location)


# Users.


def cookie(made: House, user: int) -> dict[str, str]:
    client = made.app.test_client()
    client.get(f"/login/{user}")
    found = client.get_cookie("session")
    assert found is not None
    return {"Cookie": f"session={found.value}"}


@live
async def test_the_session_says_who_it_is(house: Callable[..., House], ear: Ear) -> None:
    made = house().init()
    seen: list[tuple[Any, str]] = []

    @made.realtime.identify
    def load(identity: Identity) -> Any:
        seen.append((identity.id, current_app.name))  # inside the application's context
        return made.db.session.get(made.note, int(identity.id)) or identity

    headers = cookie(made, 7)
    ear.secrets.append(headers["Cookie"][8:])
    async with Peer(made.realtime.port, additional_headers=headers, origin="http://localhost:5000") as peer:
        await peer.hello()
        assert (await peer.subscribe("mine"))["type"] == "subscribed"
    assert seen == [("7", "notes")]


@live
async def test_no_other_cookie_does(house: Callable[..., House], ear: Ear) -> None:
    made = house().init()
    good = cookie(made, 7)["Cookie"]
    forged = Flask("other")
    forged.secret_key = "another secret key"  # noqa: S105
    forger = forged.session_interface.get_signing_serializer(forged)  # type: ignore[attr-defined]
    wrong = [
        "session=", "session=nonsense", f"{good}x", good[:-1], good.replace("session=", "sessions="), "session=" + "x" * 10_000,
        "session=\x7f", "session=é", ";;;", "=", "session", f"session={forger.dumps({'user_id': 7})}",
    ]  # fmt: skip
    for value in wrong:
        with Wire(made.realtime.port) as wire:
            answer = wire.ask(Cookie=value)
            if answer.status == 400:
                continue  # what HTTP does not allow in a header
            wire.say({"type": "hello"})
            assert wire.hear()["type"] == "hello", value
            wire.say({"type": "subscribe", "id": 1, "channels": ["mine"]})
            assert wire.hear()["code"] == "forbidden", value


@live
async def test_without_a_secret_key_everybody_is_anonymous(house: Callable[..., House]) -> None:
    made = house(SECRET_KEY=None).init()
    made.app.test_client().get("/")
    async with Peer(made.realtime.port, additional_headers={"Cookie": "session=x"}) as peer:
        await peer.hello()
        await refused(peer, "mine")
        assert (await peer.subscribe("notes"))["type"] == "subscribed"


@live
async def test_a_request_that_commits_is_heard(house: Callable[..., House]) -> None:
    made = house().init()
    client = made.app.test_client()
    client.get("/add/before")
    async with Peer(made.realtime.port, origin="http://localhost:5000") as peer:
        await peer.hello()
        await peer.subscribe("notes")
        client.get("/add/after")
        await peer.until(lambda message: "commit" in message)
        assert [record["text"] for record in peer.rows["notes"].values()] == ["before", "after"]


# Own writes.


class Writer:
    """Requests of one browser; ``position`` is what the last answer said."""

    def __init__(self, made: House, **headers: str) -> None:
        self._client = made.app.test_client()
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.position: str | None = None

    def get(self, path: str) -> int:
        answer = self._client.get(path, headers=self._headers)
        self.position = answer.headers.get("X-Realtime-Position")
        return answer.status_code


def extend(made: House) -> None:
    """Views that write in every way."""
    db, note = made.db, made.note

    def several() -> str:
        for text in ("one", "two"):
            db.session.add(note(text=text))
            db.session.commit()
        return "added"

    def rolled_back() -> str:
        db.session.add(note(text="no"))
        db.session.flush()
        db.session.rollback()
        return "no"

    def broken() -> str:
        db.session.add(note(text="kept"))
        db.session.commit()
        raise ZeroDivisionError

    def nested() -> str:
        db.session.add(note(text="outer"))
        db.session.commit()
        inner = made.app.test_client().get("/add/inner", headers={"X-Realtime-Connection": "c-0000000000000000"})
        return inner.headers["X-Realtime-Position"]

    for view in (several, rolled_back, broken, nested):
        made.app.add_url_rule(f"/{view.__name__}", view.__name__, view)


def origins(made: House) -> list[str | None]:
    return [entry.commit.origin for entry in made.realtime._broker.held()]


@pytest.mark.parametrize("header", ["X_Realtime_Connection", "X_Session_ID"])
def test_a_request_says_who_it_is_and_is_told_where_its_commits_are(house: Callable[..., House], ear: Ear, header: str) -> None:
    ear.tracebacks = 1  # the view's own
    made = house(TESTING=True, PROPAGATE_EXCEPTIONS=False).init()
    extend(made)
    me = "c-0123456789abcdef"
    writer, nobody = Writer(made, **{header: me}), Writer(made)
    for path, status, offset in (
        ("/", 200, None), ("/add/a", 200, 1), ("/several", 200, 3), ("/rolled_back", 200, None), ("/broken", 500, 4),
        ("/nowhere", 404, None), ("/add/b", 200, 5),
    ):  # fmt: skip
        assert writer.get(path) == status
        assert (writer.position or "").partition(".")[2] == ("" if offset is None else str(offset)), path
    assert nobody.get("/add/c") == 200
    assert nobody.position is not None
    assert origins(made) == [me] * 5 + [None]
    writer.get("/")
    with made.app.app_context():
        made.add("outside")
    assert origins(made)[-1] is None, "a request has left its sender behind"


def test_a_request_in_a_request(house: Callable[..., House]) -> None:
    made = house(TESTING=True).init()
    extend(made)
    writer = Writer(made, X_Realtime_Connection="c-0123456789abcdef")
    with made.app.app_context():
        writer.get("/nested")
    assert origins(made) == ["c-0123456789abcdef", "c-0000000000000000"]
    assert (writer.position or "").endswith(".2")


@pytest.mark.parametrize("header", ["c-short", "c-" + "x" * 65, "x y", "", 'c-0123456789abcdef"', "c-0123456789abcdé"])
def test_whoever_is_malformed_is_nobody(house: Callable[..., House], header: str) -> None:
    made = house(TESTING=True).init()
    writer = Writer(made, X_Realtime_Connection=header)
    assert writer.get("/add/a") == 200
    assert writer.position is not None
    assert origins(made) == [None]


def test_what_others_do_before_the_request_is_its_own_too(house: Callable[..., House]) -> None:
    made = house(TESTING=True)

    @made.app.before_request
    def count() -> None:
        made.add("counted")

    made.init()
    writer = Writer(made, X_Realtime_Connection="c-0123456789abcdef")
    writer.get("/")
    assert origins(made) == ["c-0123456789abcdef"]
    assert writer.position is not None


def test_a_position_that_is_not_known_in_time_is_left_out(house: Callable[..., House]) -> None:
    made = house(TESTING=True).init()
    earlier = made.realtime._broker.begin(Commit((), frozenset(["notes"])))
    writer = Writer(made)
    assert writer.get("/add/a") == 200
    assert writer.position is None
    earlier.finish(committed=True)
    writer.get("/add/b")
    assert (writer.position or "").endswith(".3")


@live
async def test_own_commits_are_marked_and_nobody_else_learns_whose_they_are(house: Callable[..., House]) -> None:
    made = house().init()
    Writer(made).get("/")
    port = made.realtime.port
    async with Peer(port) as mine, Peer(port) as other, Peer(port) as elsewhere:
        ids = [(await peer.hello())["connection"] for peer in (mine, other, elsewhere)]
        await mine.subscribe("notes")
        await other.subscribe("notes")
        writers = [Writer(made, X_Realtime_Connection=each) for each in ids]
        for writer in (*writers, Writer(made)):
            writer.get("/add/text")
        for peer, own in ((mine, 0), (other, 1)):
            commits = []
            while len(commits) < 4:
                commits.append(await peer.until(lambda message: "commit" in message))
            assert [each.get("origin") for each in commits] == [ids[own] if each == own else None for each in range(4)]
            assert commits[own]["commit"] == writers[own].position
        await elsewhere.say({"type": "ping"})
        assert await elsewhere.hear() == {"type": "pong"}
        # Coming back, each is told its own again, and no other.
        await other.subscribe("notes", after=f"{(writers[0].position or '').partition('.')[0]}.0", number=2)
        assert [each.get("origin") for each in other.log[-1]["commits"]] == [None, ids[1], None, None]
        for index, peer in enumerate((mine, other, elsewhere)):
            assert not any(each in str(peer.log) for each in ids if each != ids[index])


# A port that is taken for a while.


def test_a_taken_port_is_tried_again_every_five_seconds(house: Callable[..., House], ear: Ear) -> None:
    now = 100.0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    made = house({"port": address[1]})
    made.realtime.enable(made.db)
    wiring = _Wiring(made.realtime, made.app, clock=lambda: now)

    def visit(after: float) -> tuple[bool, int]:
        nonlocal now
        now += after
        with made.app.test_request_context():
            wiring.start()
        return made.realtime.running, ear.text.count("[port-in-use]")

    with socket.create_server(address):
        assert visit(0) == (False, 1)
        assert visit(5) == (False, 1), "known already"
    # Free now, which nobody looks for before the time has come.
    assert visit(4.9) == (False, 1)
    assert visit(0.1) == (True, 1)
    assert visit(0) == (True, 1)
    made.realtime.stop()
    # After a success, a failure is news.
    with socket.create_server(address):
        assert visit(0) == (False, 2)
    assert visit(5) == (True, 2)
