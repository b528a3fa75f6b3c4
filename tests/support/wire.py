"""A client of bytes, for what no library would send: raw HTTP requests, raw WebSocket frames."""

from __future__ import annotations

import json
import os
import socket
import struct
from types import TracebackType
from typing import Any

PATIENCE = 20.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Wire:
    """One TCP connection to the loopback."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.port = port
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, path: str = "/realtime/ws", *, method: str = "GET", **headers: str | None) -> Answer:
        """Send a request, by default the handshake of a well-behaved client, and read the answer's head and body.

        Header names are written with _ for -; None leaves one out.
        """
        fields = {
            "Host": f"127.0.0.1:{self.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Protocol": "sqla-realtime.v1",
        } | headers
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
        self.send("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1"))
        return self.answer(bodiless=method == "HEAD")

    def get(self, path: str, *, method: str = "GET", **headers: str | None) -> Answer:
        """A plain request."""
        plain = dict.fromkeys(("Upgrade", "Sec_WebSocket_Key", "Sec_WebSocket_Version", "Sec_WebSocket_Protocol"))
        return self.ask(path, method=method, **{"Connection": "keep-alive", **plain, **headers})

    def answer(self, bodiless: bool = False) -> Answer:
        """Read one HTTP response."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = 0 if bodiless else int(headers.get("content-length", "0"))
        return Answer(int(first.split()[1]), headers, self._take(size))

    def frame(self, opcode: int, data: bytes = b"", *, final: bool = True) -> None:
        """Send one masked frame."""
        mask = os.urandom(4)
        size = len(data)
        head = struct.pack("!B", opcode | (0x80 if final else 0))
        if size < 126:
            head += struct.pack("!B", 0x80 | size)
        elif size < 65536:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        self.send(head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data)))

    def say(self, message: dict[str, Any]) -> None:
        self.frame(TEXT, json.dumps(message).encode())

    def heard(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload."""
        first, second = self._take(2)
        size = second & 127
        if size >= 126:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return first & 15, self._take(size)

    def hear(self) -> dict[str, Any]:
        """The next message."""
        while True:
            opcode, data = self.heard()
            if opcode == TEXT:
                message: dict[str, Any] = json.loads(data)
                return message
            assert opcode == PING, (opcode, data)

    def rest(self) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        try:
            while True:
                self._more()
        except (ConnectionError, EOFError):
            return self._buffer

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._buffer += data


class Answer:
    """An HTTP response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message
