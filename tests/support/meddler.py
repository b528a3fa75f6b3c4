"""A proxy between browser and server that stands in the way as real ones do: no WebSockets, answers held until their end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 20.0
# So often the loop goes round until a connection that was accepted has a task that has begun.
TURNS = 5


class Meddler:
    """What is in its way can be changed at any time: ``upgrades`` (cut, or swallowed) and ``held``, parts of paths."""

    def __init__(self, server: int) -> None:
        self._server = server
        self.upgrades = True
        self.swallowed = False
        self.held: tuple[str, ...] = ()
        # The requests that have come: "POST /realtime/poll".
        self.seen: list[str] = []
        self.port = 0
        # The loop itself does not hold them.
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def serve(self, listening: threading.Event) -> None:
        """On a port of its own, until ``end``."""
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._take, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            listening.set()
            await self._ended.wait()
            # Whoever is in the door comes in first: a task that is cancelled before it has begun drops its socket, and so
            # does one that begins when the server is closed.
            for each in server.sockets:
                self._loop.remove_reader(each)
            for _ in range(TURNS):
                await asyncio.sleep(0)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.wait(others or [asyncio.create_task(asyncio.sleep(0))])

    def end(self) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request: the server is asked to close it after its answer."""
        self._tasks.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await self._answer(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()
        self._tasks.discard(asyncio.current_task())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        request, _, rest = head.partition(b"\r\n")
        method, path, _ = request.decode().split()
        self.seen.append(f"{method} {path}")
        upgrade = b"\r\nupgrade: websocket" in head.lower()
        if upgrade and self.swallowed:
            await reader.read()
        if not upgrade or self.upgrades:
            lines = [line for line in rest.split(b"\r\n") if upgrade or not line.lower().startswith(b"connection:")]
            more = [] if upgrade else [b"Connection: close"]
            await self._pass(b"\r\n".join([request, *more, *lines]), path, reader, writer)

    async def _pass(self, head: bytes, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection("127.0.0.1", self._server)
        questions.write(head)
        up = asyncio.create_task(self._relay(reader, questions))
        held = any(part in path for part in self.held)
        try:
            await (self._relay_in_the_end(answers, writer, up) if held else self._relay(answers, writer))
        finally:
            up.cancel()
            questions.close()
            with suppress(ConnectionError):
                await questions.wait_closed()

    @staticmethod
    async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    @staticmethod
    async def _relay_in_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.Task[None]) -> None:
        """The whole answer at once; never, if the client goes away before it is complete."""
        everything = asyncio.create_task(reader.read())
        await asyncio.wait({everything, client}, return_when=asyncio.FIRST_COMPLETED)
        if not everything.done():
            everything.cancel()
            return
        writer.write(everything.result())
        await writer.drain()


@contextmanager
def meddler(server: int) -> Iterator[Meddler]:
    """In front of the server at this port of the loopback; in a thread of its own."""
    made, listening = Meddler(server), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(made.serve(listening)), daemon=True)
    thread.start()
    try:
        assert listening.wait(PATIENCE)
        yield made
    finally:
        made.end()
        thread.join(PATIENCE)
