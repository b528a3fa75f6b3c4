"""The relay with Pusher's own library: in order, again until it is taken, from where it was, and past what is refused."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime, anyone, signed_in
from sqla_realtime.cli import main
from sqla_realtime.commit import Commit, Position
from sqla_realtime.errors import BadSetting, PositionGone, PusherMissing
from sqla_realtime.integrations import relay
from sqla_realtime.integrations.outlet import Outlet
from sqla_realtime.integrations.relay import Receiver, Relay, State
from tests.support.models import Page, PageOut
from tests.support.processes import PATIENCE, ROOT, Process, free_ports
from tests.support.scene import Ear, live
from tests.support.shared_app import make, prepare, write
from tests.transports.pusher.test_socket import APP

URL = "http://app-key:a%20secret%20of%20the%20application@127.0.0.1:{}/apps/1"


class Taker:
    """A broadcaster that takes events, and what it was sent: each request a list of (channel, name, data)."""

    def __init__(self, realtime: Realtime) -> None:
        self.realtime = realtime
        self.requests: list[list[tuple[str, str, Any]]] = []
        self._arrived = threading.Condition()
        self._enter = realtime._broker.enter
        realtime._broker.enter = self._note  # type: ignore[method-assign]
        realtime.enable(sessionmaker())
        realtime.start()

    def _note(self, commit: Commit) -> Future[Any]:
        with self._arrived:
            self.requests.append([(each.channel, each.name, json.loads(each.data)) for each in commit.events])
            self._arrived.notify_all()
        return self._enter(commit)

    @property
    def events(self) -> list[tuple[str, str, Any]]:
        return [event for request in self.requests for event in request]

    @property
    def titles(self) -> list[str]:
        return [data["record"]["title"] for _, _, data in self.events]

    def until(self, arrived: Callable[[], bool]) -> None:
        with self._arrived:
            assert self._arrived.wait_for(arrived, PATIENCE), self.requests


@pytest.fixture
def taker(realtime: Callable[..., Realtime]) -> Taker:
    return Taker(realtime(pusher=[APP], port=free_ports(1)[0]))


@pytest.fixture
def writer(sqlite: Engine) -> sessionmaker[Session]:
    return sessionmaker(sqlite)


@pytest.fixture
def source(realtime: Callable[..., Realtime], writer: sessionmaker[Session]) -> Realtime:
    made = realtime(broker="database")
    made.publish(Page, schema=PageOut, channel="pages", join=anyone)
    made.publish(Page, schema=PageOut, channel="titled/{title}", join=signed_in)
    made.enable(writer)
    made.migrate()
    return made


@asynccontextmanager
async def relaying(source: Realtime, port: int, state: Path, *patterns: str) -> AsyncIterator[list[str]]:
    said: asyncio.Queue[str] = asyncio.Queue()
    made = Relay(source, Receiver(URL.format(port)), State(state), Outlet(source._registry, patterns))
    task = asyncio.create_task(made.run(said.put_nowait))
    try:
        yield [await said.get()]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@live
async def test_whole_commits_in_order_ten_events_at_a_time(
    source: Realtime, taker: Taker, writer: sessionmaker[Session], tmp_path: Path
) -> None:
    state = State(tmp_path / "state")
    async with relaying(source, taker.realtime.port, tmp_path / "state") as said:
        assert f"Relaying to http://127.0.0.1:{taker.realtime.port}/apps/1 from {state.load()}" in said[0]
        with writer.begin() as session:
            pages = [Page(title=f"t{number}") for number in range(6)]
            session.add_all(pages)
        with writer.begin() as session:
            session.merge(pages[0]).size = 9
        with writer.begin() as session:
            session.delete(session.merge(pages[1]))
        await asyncio.to_thread(taker.until, lambda: len(taker.events) == 16)
    first = [(where, "create", str(n + 1)) for n in range(6) for where in ("pages", f"private-titled,t{n}")]
    heard = [(channel, name, data["id"]) for channel, name, data in taker.events]
    assert sorted(heard[:12]) == sorted(first)
    assert [name for _, name, _ in heard[12:]] == ["update", "update", "destroy", "destroy"]
    assert [len(request) for request in taker.requests] == [10, 2, 2, 2]
    assert taker.events[12][2]["record"]["size"] == 9


@pytest.mark.parametrize("known", ["gone0epoch.3", "nonsense"])
@live
async def test_where_the_position_is_lost_it_begins_at_the_head_and_says_so(
    source: Realtime, taker: Taker, writer: sessionmaker[Session], tmp_path: Path, ear: Ear, known: str
) -> None:
    (tmp_path / "state").write_text(known)
    with writer.begin() as session:
        session.add(Page(title="missed"))
    async with relaying(source, taker.realtime.port, tmp_path / "state", "pages"):
        await asyncio.to_thread(taker.until, lambda: bool(taker.events))
        assert taker.events == [("pages", "reset", {"reason": "behind"})]
        with writer.begin() as session:
            session.add(Page(title="next"))
        await asyncio.to_thread(taker.until, lambda: len(taker.events) == 2)
        assert taker.events[1][2]["record"]["title"] == "next"
    assert known in ear.text
    assert ear.text.count("[relay-gap]") == 1


class Moody(BaseHTTPRequestHandler):
    """Answers as it is told, 200 in the end, and keeps what it was sent. It refuses every request with its ``poison`` in it."""

    moods: list[int]
    poison = "poison"
    last = ""
    taken: list[tuple[int, str]]
    calm: threading.Event

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        titles = "".join(json.loads(event["data"])["record"]["title"] for event in body["batch"])
        status = self.moods.pop(0) if self.moods else 400 if self.poison in titles else 200
        self.taken.append((status, titles))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"{}")
        if not self.moods and titles.endswith(self.last):
            self.calm.set()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[tuple[type[Moody], int]]:
    handler = type("Handler", (Moody,), {"moods": [], "taken": [], "calm": threading.Event()})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield handler, server.server_port
        server.shutdown()
        thread.join()


@live
async def test_what_may_pass_is_tried_again_and_what_is_refused_blocks_nothing(
    source: Realtime,
    writer: sessionmaker[Session],
    tmp_path: Path,
    ear: Ear,
    moody: tuple[type[Moody], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "RETRY_BASE", 0.001)
    ear.secrets.append(APP["secret"])
    handler, port = moody
    handler.moods[:] = [500, 503, 429, 401, 403, 200, 400, 413, 200]
    async with relaying(source, port, tmp_path / "state", "pages"):
        for title in "abcd":
            with writer.begin() as session:
                session.add(Page(title=title))
        assert await asyncio.to_thread(handler.calm.wait, PATIENCE)
    tried = [(500, "a"), (503, "a"), (429, "a"), (401, "a"), (403, "a"), (200, "a"), (400, "b"), (413, "c"), (200, "d")]
    assert handler.taken == tried
    codes = [ear.text.count(f"[{code}]") for code in ("relay-waits", "relay-back", "relay-refused")]
    assert codes == [1, 1, 2], ear.text


@live
async def test_what_is_refused_takes_nothing_along(
    source: Realtime, writer: sessionmaker[Session], tmp_path: Path, ear: Ear, moody: tuple[type[Moody], int]
) -> None:
    handler, port = moody
    handler.poison, handler.last = "b", "d"
    async with relaying(source, port, tmp_path / "state", "pages"):
        for titles in ("abc", "d"):
            with writer.begin() as session:
                session.add_all([Page(title=title) for title in titles])
        assert await asyncio.to_thread(handler.calm.wait, PATIENCE)
    assert handler.taken == [(400, "abc"), (200, "a"), (400, "b"), (200, "c"), (200, "d")]
    assert ear.text.count("refuses an event in pages") == 1


APPLICATION = "from tests.support.shared_app import make\n\nrealtime = make({!r})[0]\n"


def test_the_receiver_may_be_away_and_the_relay_be_killed(taker: Taker, sqlite: Engine, tmp_path: Path) -> None:
    prepare(sqlite)
    url = sqlite.url.render_as_string(hide_password=False)
    (tmp_path / "relayed.py").write_text(APPLICATION.format(url))
    _, sessions, engine = make(url)
    options = ("--app", "relayed:realtime", "--state", str(tmp_path / "state"))
    pusher = URL.format(taker.realtime.settings.port)
    command = ("sqla_realtime", "relay", *options)
    with Process(*command, folder=tmp_path, PYTHONPATH=str(ROOT), PUSHER_URL=pusher) as process:
        process.printed("Relaying to")
        write(sessions, "a")
        taker.until(lambda: taker.titles == ["a"])
        taker.realtime.stop()
        for title in "bc":
            write(sessions, title)
        process.printed("relay-waits")
        taker.realtime.start()
        taker.until(lambda: "c" in taker.titles)
        process.stop(signal.SIGKILL)
        reached = State(tmp_path / "state").load()
        for title in "de":
            write(sessions, title)
        process.start()
        assert f"from {reached}" in process.printed("Relaying to")
        taker.until(lambda: "e" in taker.titles)
        assert process.stop() == 0, process.output
    # What was taken last may be sent once more, after a kill and where the answer was lost.
    assert [title for title, _ in groupby(taker.titles)] == list("abcde")
    assert len(taker.titles) <= 7
    engine.dispose()


def test_the_file_is_whole_whenever_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ear: Ear) -> None:
    state, position = State(tmp_path / "state"), Position("e", 10)
    assert state.load() is None
    state.begin(position)

    class Killed(BaseException):
        pass

    def kill(file: int) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", kill)
        with pytest.raises(Killed):
            state.save(Position("e", 11))
    assert state.load() == position
    state.save(Position("e", 12))
    assert state.load() == Position("e", 12)
    (tmp_path / "state.new").mkdir()
    state.save(Position("e", 13))
    assert "[relay-state]" in ear.text
    (tmp_path / "state").write_text("")
    with pytest.raises(PositionGone):
        state.load()
    with pytest.raises(BadSetting, match="--state"):
        State(tmp_path / "missing" / "state").begin(position)
    with pytest.raises(BadSetting, match="--state"):
        State(tmp_path).load()


@pytest.mark.parametrize("url", ["", "http://[", "http://h/apps/1", "ftp://k:s3cret@h/apps/1", "http://k:s3cret@h/apps/x"])
def test_a_url_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Receiver(url)
    assert "s3cret" not in str(caught.value)


def test_a_url_says_where() -> None:
    assert Receiver("https://k:s@[::1]:1/apps/7").name == "https://[::1]:1/apps/7"
    assert Receiver("https://k:s@api-eu.pusher.com/apps/7").name == "https://api-eu.pusher.com/apps/7"


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pusher", None)
    with pytest.raises(PusherMissing, match=r"pip install \"sqla-realtime\[relay\]\""):
        Receiver(URL.format(1))


def test_the_command_needs_a_shared_log_and_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from sqla_realtime import Realtime\n\nalone, unready = Realtime(), Realtime(broker='database')\n"
    (tmp_path / "lonely.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    command = ["relay", "--pusher", URL.format(1), "--state", str(tmp_path / "state"), "--app"]
    result = CliRunner().invoke(main, [*command, "lonely:alone"])
    assert (result.exit_code, "REALTIME_BROKER=database" in result.output) == (2, True)
    result = CliRunner().invoke(main, [*command, "lonely:unready"])
    assert (result.exit_code, "[not-enabled]" in result.output) == (1, True)
    assert "Traceback" not in result.output
