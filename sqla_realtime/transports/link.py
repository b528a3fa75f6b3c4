"""One WebSocket after its handshake: frames to the conversation and back, signs of life, and an end that the client is told."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress

from tornado.iostream import IOStream

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.protocol.codes import ErrorCode, StandardCode
from sqla_realtime.transports.framing import (
    INTERNAL_ERROR,
    PING,
    PONG,
    Close,
    Ping,
    Reader,
    Violation,
    close_frame,
    head,
)
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pump import Pump

log = logging.getLogger(__name__)

# How much is read before others have their turn, in bytes.
CHUNK = 16 * 1024
# How long the end of the connection is waited for once a close frame is on its way, in seconds.
LINGER = 5.0
# How much is written at once, in bytes.
MOST = 64 * 1024

_ASK = head(PING, 0)


class Link:
    """Between a stream that was HTTP's and a conversation. Loop thread only.

    It says everything that is no message, and the close frame last of all.
    """

    __slots__ = ("_answering", "_closing", "_conversation", "_deaf", "_heard", "_late", "_lobby", "_pump", "_reader",
                 "_stream", "_timer")  # fmt: skip

    def __init__(self, lobby: Lobby, conversation: Conversation, pump: Pump, stream: IOStream) -> None:
        self._lobby = lobby
        self._conversation = conversation
        self._stream = stream
        self._reader = Reader(lobby.settings.max_message)
        self._pump = pump
        # Whether anything has come since the last ping.
        self._heard = True
        # Whether pings are being answered, and the latest that came meanwhile.
        self._answering = False
        self._late: bytes | None = None
        # Whether a close frame has been said, and whether what the client says matters no more.
        self._closing = False
        self._deaf = False
        stream.read_chunk_size = CHUNK
        framed = lobby.framed_lines if pump.codec.lines else lobby.framed
        pump.attach(stream, lobby.flusher, framed, self._drained, most=MOST, alike=True)
        self._timer = asyncio.get_running_loop().call_later(lobby.settings.ping_interval, self._tick)
        lobby.enter(conversation, stream)
        self._listen()

    # What comes.

    def _listen(self) -> None:
        try:
            future = self._stream.read_bytes(CHUNK, partial=True)
        except OSError:  # it was closed meanwhile
            self._over()
        else:
            # Tornado declares an Awaitable; it is a Future.
            future.add_done_callback(self._arrived)  # type: ignore[attr-defined]

    def _arrived(self, future: asyncio.Future[bytes]) -> None:
        if future.exception() is not None:
            self._over()
            return
        self._heard = True
        if not self._deaf:
            try:
                self._take(future.result())
            except Exception:  # whatever it is, it ends this client and nobody else
                log.exception("What a client has sent could not be handled. [frame-failed]")
                self._hang_up(INTERNAL_ERROR)
        self._listen()

    def _take(self, data: bytes) -> None:
        pings: list[bytes] = []
        code: int | None = None
        over = False
        try:
            for event in self._reader.feed(data):
                match event:
                    case str():
                        self._conversation.receive(event)
                    case bytes():
                        self._conversation.blunder(ErrorCode.MALFORMED, "binary frames are not understood here")
                    case Ping():
                        pings.append(event.data)
                    case Close():
                        code, over = event.code, True
                        break
        except Violation as violation:
            code, over = violation.code, True
        self._answer(pings)
        if over:
            self._hang_up(code)

    # What goes.

    def _drained(self) -> None:
        code = self._pump.close_code
        if code is not None:
            told = self._pump.codec.closes(code)
            self._close(told, told.reason)

    def _answer(self, pings: list[bytes]) -> None:
        """While earlier answers are still on their way the latest ping alone is remembered (RFC 6455 5.5.3)."""
        if self._closing or not pings:
            return
        if self._answering:
            self._late = pings[-1]
            return
        future = self._pump.say(b"".join(head(PONG, len(data)) + data for data in pings))
        if future is not None and not future.done():
            self._answering = True
            future.add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[None]) -> None:
        self._answering = False
        if self._late is not None and future.exception() is None:
            late, self._late = self._late, None
            self._answer([late])

    def _tick(self) -> None:
        """Ask for a sign of life; a client that has shown none since it was last asked is gone."""
        if not self._heard:
            told = self._pump.codec.closes(StandardCode.PING_TIMED_OUT)
            self._close(told, told.reason)
            return
        self._heard = False
        if not self._stream.writing():  # what waits there asks as well
            self._pump.say(_ASK)
        self._timer = asyncio.get_running_loop().call_later(self._lobby.settings.ping_interval, self._tick)

    # How it ends.

    def _close(self, code: int | None, reason: str = "") -> None:
        """Say the close frame, after which there is nothing to say. The client has a little time to answer with its own."""
        if self._closing:
            return
        self._closing = True
        self._pump.stop()
        self._conversation.end()
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LINGER, self._stream.close)
        self._pump.say(close_frame(code, reason))

    def _hang_up(self, code: int | None) -> None:
        """There is nothing left to hear either. The stream is closed when the client has taken all that it was sent: a
        close with something unread would have it thrown away on the way (RFC 6455 7.1.1)."""
        self._close(code)
        self._deaf = True
        future = self._pump.say(b"")  # done when all before it is
        if future is not None:
            future.add_done_callback(self._finish)

    def _finish(self, future: asyncio.Future[None]) -> None:
        if not self._stream.closed():
            with suppress(OSError):
                self._stream.socket.shutdown(socket.SHUT_WR)

    def _over(self) -> None:
        """The stream is closed, whoever has closed it."""
        self._closing = True
        self._timer.cancel()
        self._pump.stop()
        self._conversation.end()
        self._lobby.leave(self._conversation)
