"""A client of HTTP/1.1 on asyncio streams, for answers that do not end: status, headers, and the body piece by piece."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

PATIENCE = 20.0


class Response:
    """One request's answer, whose body is still coming."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._left: int | None = None
        self._chunked = False
        self.status = 0
        self.headers: dict[str, str] = {}

    async def head(self) -> None:
        async with asyncio.timeout(PATIENCE):
            head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunked = self.headers.get("transfer-encoding") == "chunked"
        if "content-length" in self.headers:
            self._left = int(self.headers["content-length"])
        elif self.status == 204:
            self._left = 0

    async def piece(self) -> bytes:
        """What has come next of the body; nothing at its end. Raises EOFError where it was cut off."""
        async with asyncio.timeout(PATIENCE):
            if self._chunked:
                line = await self._reader.readline()
                if not line.endswith(b"\n"):
                    raise EOFError
                size = int(line, 16)
                return (await self._reader.readexactly(size + 2))[:size]
            if self._left == 0:
                return b""
            data = await self._reader.read(65536 if self._left is None else self._left)
            if self._left is not None:
                if not data:
                    raise EOFError
                self._left -= len(data)
            return data

    async def body(self) -> bytes:
        """All that is still to come."""
        data = b""
        while piece := await self.piece():
            data += piece
        return data

    async def json(self) -> Any:
        return json.loads(await self.body())

    async def close(self) -> None:
        """Hang up, whatever is still to come."""
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


async def request(
    port: int, path: str, body: bytes | str | None = None, *, method: str | None = None, **headers: str | None
) -> Response:
    """Ask, and wait for the answer's head. With a body it is a POST. Header names are written with _ for -."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    data = body.encode() if isinstance(body, str) else body
    fields: dict[str, str | None] = {"Host": f"127.0.0.1:{port}"}
    if data is not None:
        fields |= {"Content_Type": "text/plain", "Content_Length": str(len(data))}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (fields | headers).items() if value is not None]
    method = method or ("GET" if data is None else "POST")
    writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + (data or b""))
    response = Response(reader, writer)
    try:
        await response.head()
    except BaseException:
        await response.close()
        raise
    return response


async def ask(
    port: int, path: str, body: bytes | str | None = None, *, method: str | None = None, **headers: str | None
) -> tuple[int, dict[str, str], bytes]:
    """The same with its whole answer: status, headers, body."""
    response = await request(port, path, body, method=method, **headers)
    try:
        return response.status, response.headers, await response.body()
    finally:
        await response.close()
