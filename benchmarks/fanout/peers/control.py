"""What every peer written in Python shares: the message, the control socket that asks for it, and the line that says where."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Awaitable, Callable

REQUEST = struct.Struct("QQ")
Publish = Callable[[int, int], Awaitable[None]]


def message(stamp: int) -> str:
    """250 bytes of JSON, with the stamp in it."""
    return f'{{"at":"@{stamp:020}","text":"{"x" * 208}"}}'


def announce(port: int, control: int, *pids: int) -> None:
    """Tell the runner where the server is, and which processes are its own."""
    print(json.dumps({"port": port, "control": control, "pids": list(pids) or [os.getpid()]}), flush=True)


async def control(publish: Publish) -> int:
    """Listen for requests; each has so many messages published in one turn. Returns the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(REQUEST.size):
            if len(data) < REQUEST.size:
                data += await reader.readexactly(REQUEST.size - len(data))
            await publish(*REQUEST.unpack(data))
        os._exit(0)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    return port
