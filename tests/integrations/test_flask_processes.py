"""The demo under the servers that people run Flask with: whichever process answers requests is the one that broadcasts."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import pytest

from tests.support.peer import Peer
from tests.support.processes import Process, free_ports

FLASK = ("flask", "--app", "examples.flask_demo", "run", "--port", "{port}")
GUNICORN = ("gunicorn", "-w", "1", "-b", "127.0.0.1:{port}", "examples.flask_demo:create_app()")
CHANNEL = "projects/1/pages"
# What open pages ask for when their server is gone.
KNOCK = "/realtime/realtime.js"


class Visitor:
    """Ada, with a cookie jar instead of a browser."""

    def __init__(self, process: Process, port: int, realtime_port: int) -> None:
        self.process = process
        self.realtime_port = realtime_port
        self.url = f"http://127.0.0.1:{port}"
        self._jar = CookieJar()
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self._jar))

    def get(self, path: str) -> tuple[str, str]:
        """Where a GET ends after redirects, and the body there."""
        with self._opener.open(self.url + path, timeout=20) as answer:
            return answer.url, answer.read().decode()

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Send JSON."""
        request = Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
        self._opener.open(request, timeout=20).close()

    def peer(self) -> Peer:
        """A WebSocket as this page would open it."""
        cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._jar)
        return Peer(self.realtime_port, origin=self.url, additional_headers={"Cookie": cookie})

    async def hears_its_own_commit(self, title: str) -> None:
        """What this process commits reaches a client of the realtime port: both are one process."""
        async with asyncio.timeout(30), self.peer() as peer:
            assert (await peer.hello())["type"] == "hello"
            assert (await peer.subscribe(CHANNEL))["type"] == "subscribed"
            await asyncio.to_thread(self.post, f"/{CHANNEL}", {"title": title})
            heard = await peer.until(lambda message: "commit" in message)
            assert heard["changes"][0]["record"]["title"] == title


@contextmanager
def visiting(folder: Path, ready: str, *arguments: str, **more: str) -> Iterator[Visitor]:
    """The demo under a server, once that has printed ``ready``, and Ada who has signed in."""
    port, realtime_port = free_ports(2)
    command = [argument.format(port=port) for argument in arguments]
    environment = {"PORT": str(port), "REALTIME_PORT": str(realtime_port), "DEMO_FOLDER": str(folder)}
    with Process(*command, **environment, **more) as process:
        process.printed(ready)
        visitor = Visitor(process, port, realtime_port)
        visitor.post("/session", {"user": 1})
        yield visitor


@pytest.mark.parametrize(
    ("ready", "command"),
    [("Running on", FLASK), ("Debugger is active", (*FLASK, "--debug")), ("Listening at", GUNICORN)],
    ids=["flask run", "flask run --debug", "gunicorn -w 1"],
)
def test_page_client_and_commits(tmp_path: Path, ready: str, command: tuple[str, ...]) -> None:
    with visiting(tmp_path, ready, *command) as visitor:
        client = f"http://127.0.0.1:{visitor.realtime_port}/realtime/realtime.js"
        url, page = visitor.get("/")
        assert url == f"{visitor.url}/projects/1"
        assert client in page
        url, script = visitor.get("/realtime/realtime.js")
        assert url == client
        assert "export function connect" in script
        asyncio.run(visitor.hears_its_own_commit("From a process"))
    assert "Traceback" not in visitor.process.output


def test_a_reload_moves_the_port_to_the_new_child(tmp_path: Path) -> None:
    """Were it the reloader's parent that listens, the child's commits would reach nobody."""
    touched = tmp_path / "touched"
    touched.write_text("before")
    command = (*FLASK, "--debug", "--extra-files", str(touched))
    with visiting(tmp_path, "Debugger is active", *command) as visitor:

        async def reload() -> None:
            await visitor.hears_its_own_commit("Before")
            async with visitor.peer() as peer:
                await peer.hello()
                touched.write_text("after, and longer")
                # Clients are told to come back.
                assert (await peer.closed())[0] == 4500
            await asyncio.to_thread(visitor.get, KNOCK)
            await visitor.hears_its_own_commit("After")

        asyncio.run(reload())
    assert "Traceback" not in visitor.process.output


def test_a_new_worker_takes_over(tmp_path: Path) -> None:
    """gunicorn replaces its worker on SIGHUP; the master never listens on the realtime port."""
    with visiting(tmp_path, "Listening at", *GUNICORN) as visitor:

        async def replace() -> None:
            await visitor.hears_its_own_commit("Before")
            async with visitor.peer() as peer:
                await peer.hello()
                visitor.process.send(signal.SIGHUP)
                assert (await peer.closed())[0] == 4500
            await asyncio.to_thread(visitor.get, KNOCK)
            await visitor.hears_its_own_commit("After")

        asyncio.run(replace())
    assert "Traceback" not in visitor.process.output
