"""Processes that only write: tasks of a queue, forked children, greenlets. Whoever serves tells what they commit."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from sqlalchemy import create_engine

from tests.support.guest import Guest
from tests.support.peer import Peer
from tests.support.processes import Process, free_ports, listening
from tests.support.scene import live
from tests.support.shared_app import prepare

# It waits for no siblings, of which there are none.
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture
def url(tmp_path: Path) -> str:
    engine = create_engine(f"sqlite:///{tmp_path / 'shared.db'}")
    prepare(engine).dispose()
    return engine.url.render_as_string()


@pytest.fixture
def server(url: str) -> Iterator[Process]:
    """The process that serves."""
    with Process("tests.support.shared_app", url, "serve") as process:
        yield process


@asynccontextmanager
async def guest(process: Process) -> AsyncIterator[Guest]:
    """A client of a process that prints its port."""
    line = await asyncio.to_thread(process.printed, "^port ")
    async with Guest("websocket", int(line.split()[1])) as there:
        yield there


@live
async def test_what_a_task_of_a_queue_commits_is_told(url: str, server: Process, tmp_path: Path) -> None:
    """By whoever serves: the worker that forks and its children have no port."""
    queue = tmp_path / "queue"
    queue.mkdir()
    command = ("celery", "-A", "tests.support.celery_app", "worker", "-P", "prefork", "-c", "1", *QUIET)
    with Process(*command, SHARED_URL=url, QUEUE=str(queue)) as worker:
        async with guest(server) as there:
            await there.shows(["of a task"])
        found = re.search(r"committed by (\d+)", await asyncio.to_thread(worker.printed, "committed by"))
        assert found is not None
        child = int(found[1])
        assert child != worker.pid
        assert listening(child) == listening(worker.pid) == set()
        assert "Traceback" not in worker.output


@live
async def test_a_child_that_a_thread_forks_writes_and_holds_nothing_of_its_parents(url: str, server: Process) -> None:
    with Process("tests.support.shared_app", url, "fork", "of a child") as parent:
        async with guest(server) as there, guest(parent) as own:
            port = int(parent.printed("^port ").split()[1])
            silent = socket.create_connection(("127.0.0.1", port), timeout=20)
            async with Peer(port) as peer:  # it has been accepted later than the silent one
                await peer.hello()
                parent.send(signal.SIGUSR1)
                for each in (there, own):
                    await each.shows(["of a child"])
                child = int((await asyncio.to_thread(parent.printed, "^child ")).split()[1])
                assert listening(child) == set()
                assert listening(parent.pid) == {port}
                parent.send(signal.SIGKILL)
                # The child is still there, and nobody takes it for its parent.
                await peer.closed()
                assert await asyncio.to_thread(silent.recv, 1) == b""
                silent.close()
            os.kill(child, 0)


@live
async def test_with_greenlets_for_threads_a_worker_only_writes_and_says_so(url: str, server: Process) -> None:
    port, realtime_port = free_ports(2)
    command = ("gunicorn", "-k", "gevent", "-w", "1", "-b", f"127.0.0.1:{port}", "tests.support.wsgi_app:app")
    with Process(*command, SHARED_URL=url, REALTIME_PORT=str(realtime_port)) as worker:
        await asyncio.to_thread(worker.printed, "Booting worker")
        async with guest(server) as there:
            request = Request(f"http://127.0.0.1:{port}/pages/of%20a%20greenlet", method="POST")
            opener = build_opener(ProxyHandler({}))
            pids = {await asyncio.to_thread(lambda: int(opener.open(request, timeout=20).read())) for _ in range(2)}
            await there.shows(["of a greenlet"] * 2)
        [pid] = pids
        assert listening(pid) == {port}
        assert worker.output.count("[green-threads]") == 1
        assert "sqla-realtime serve --app" in worker.output
        assert "Traceback" not in worker.output
