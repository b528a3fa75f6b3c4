"""What comes before any conversation: the gate, refusals as JSON that pages can read, CORS, and bodies of bounded size."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Sized
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.web import Finish, stream_request_body

from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Error
from sqla_realtime.transports.handover import spelled, taken_off
from sqla_realtime.transports.handshake import origin_of
from sqla_realtime.transports.line import sent_away
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.quiet import QuietHandler

log = logging.getLogger(__name__)

STATUS = {
    ErrorCode.ORIGIN_REFUSED: 403,
    ErrorCode.HOST_REFUSED: 403,
    ErrorCode.UNKNOWN_CONNECTION: 404,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UPGRADE_REQUIRED: 426,
    ErrorCode.TOO_MANY_HEADERS: 431,
    ErrorCode.TOO_BUSY: 503,
}

# A body that is too large is read and thrown away up to so many times its limit: a client that is cut while it still
# writes may not see the answer.
PATIENCE = 16
# What happens to clients that do nothing wrong, and is not counted for the log.
USUAL = (ErrorCode.UPGRADE_REQUIRED, ErrorCode.UNKNOWN_CONNECTION)
# Whoever is sent away comes back after a random one of so many seconds.
RETRY_AFTER = 5


class GatedHandler(QuietHandler):
    """Any request that leads to a conversation."""

    def initialize(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._place: asyncio.Future[bool] | None = None
        self._gone = False

    def named(self) -> dict[str, str]:
        """Headers by lower-case name. One that was sent twice is its values joined by commas: two Origins are no origin."""
        return {name.lower(): value for name, value in self.request.headers.items()}

    async def line_up(self) -> None:
        """Wait until it is this handshake's turn. Raises Refused, or Finish where the client is gone meanwhile.

        Tornado tells that it is gone from the moment when it has read the whole request.
        """
        self._place = self._lobby.line.join()
        if self._place is not None and not await self._place:
            if self._gone:
                raise Finish
            raise sent_away()

    def count_headers(self) -> None:
        """Raise Refused for more of them than a request may have."""
        most = self._lobby.settings.max_headers
        if sum(1 for _ in self.request.headers.get_all()) > most:
            raise Refused(ErrorCode.TOO_MANY_HEADERS, f"A request may have {most} headers.", "Or raise REALTIME_MAX_HEADERS.")

    def look(self) -> None:
        """Raise Refused where whoever came now would have no place in the line."""
        if self._lobby.line.busy:
            raise sent_away()

    def on_connection_close(self) -> None:
        self._gone = True
        if self._place is not None:
            self._lobby.line.leave(self._place)
        super().on_connection_close()

    def knock(self) -> None:
        """Raise Refused unless the gate lets this request in. A page's own origin is not named by every request of it,
        so its Referer stands in. An image or a link on another site's page names nothing, but brings the cookies."""
        headers = self.named()
        if "origin" not in headers:
            if headers.get("sec-fetch-site") in ("cross-site", "same-site"):  # W3C Fetch Metadata
                headers["origin"] = "null"
            elif "referer" in headers:
                headers["origin"] = origin_of(headers["referer"])
        self._lobby.gate.check(headers)

    def refuse(self, refused: Refused) -> None:
        """Answer with why not."""
        fix = refused.fix if self._lobby.house.explain else None
        if refused.code not in USUAL:
            self._lobby.house.tally.note(refused.code)
        if refused.code == ErrorCode.TOO_BUSY:
            self.set_header("Retry-After", str(random.randint(1, RETRY_AFTER)))  # noqa: S311
        self.set_status(STATUS.get(ErrorCode(refused.code), 400))
        if "Access-Control-Allow-Origin" not in self._headers:
            # Readable from everywhere: it tells a page no more than that it may not come in.
            self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(self._lobby.codec.encode(Error(refused.code, refused.message, fix)))


@stream_request_body
class BodyHandler(GatedHandler):
    """A request of a page for which plain HTTP has to do. ``most`` is how large its body may be, where that is no setting."""

    most: int | None = None

    def initialize(self, lobby: Lobby) -> None:
        super().initialize(lobby)
        self._body = bytearray()
        self._size = 0

    @property
    def http(self) -> HTTP1Connection:
        """What the request came on."""
        return cast(HTTP1Connection, self.request.connection)

    def prepare(self) -> None:
        # The limit is kept here: Tornado's own answer could not be read by a page.
        self.http.set_max_body_size(2**62)
        try:
            self.knock()
            self._admit()
            self.count_headers()
            self._check_size(int(self.request.headers.get("Content-Length", "0")), PATIENCE)
            if any("token" in name.lower() for name in self.request.query_arguments):
                raise Refused(
                    ErrorCode.INVALID_FIELD,
                    "A token must not be in a URL, which is logged on its way.",
                    "Send it in the hello of a POST; an EventSource is identified by its cookie.",
                )
        except ValueError:
            self.refuse(Refused(ErrorCode.MALFORMED, "Content-Length is no number."))
        except Refused as refused:
            self.refuse(refused)

    def _admit(self) -> None:
        """The gate has let this origin in, so its pages may read the answer (Fetch standard, 3.3.3)."""
        self.set_header("Vary", "Origin")
        origin = self.request.headers.get("Origin")
        if origin is not None:
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")

    def options(self, **path: str) -> None:
        """May this page send what needs asking for?"""
        self.set_header("Access-Control-Allow-Methods", "GET, POST")
        self.set_header("Access-Control-Allow-Headers", "content-type, last-event-id")
        self.set_header("Access-Control-Max-Age", "600")
        self.set_status(204)

    def data_received(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= (self.most or self._lobby.settings.max_body):
            self._body += chunk
            return
        try:
            self._check_size(self._size, PATIENCE)
        except Refused as refused:
            if not self._finished:
                self.refuse(refused)

    def body(self) -> str:
        """What was posted. Raises Refused."""
        self._check_size(self._size)
        try:
            return self._body.decode()
        except UnicodeDecodeError:
            raise Refused(ErrorCode.MALFORMED, "The body is not UTF-8.") from None

    async def pass_on(self, place: str) -> None:
        """Have the sibling at a place answer this request, if one is there. Raises Finish where it does, and Refused."""
        siblings = self._lobby.siblings
        if siblings is not None and place != siblings.via and await siblings.hand_over(place, self._let_go):
            log.debug("A request to %s was handed over to the process that it is for.", self.place)
            raise Finish

    def _let_go(self) -> tuple[socket.socket, bytes]:
        if self._gone or self.http.stream.closed():
            raise Finish
        begun = spelled(self.request, bytes(self._body))
        connection, behind = taken_off(self.detach())
        return connection, begun + behind

    def _check_size(self, size: int, times: int = 1) -> None:
        most = self.most or self._lobby.settings.max_body
        if size > most * times:
            raise Refused(ErrorCode.TOO_LARGE, f"A body may have {most} bytes.", "Send less, or raise REALTIME_MAX_BODY.")

    def check_count(self, messages: Sized) -> None:
        """Raise Refused for more messages than one body may bring."""
        most = self._lobby.settings.max_messages
        if len(messages) > most:
            raise Refused(
                ErrorCode.TOO_MANY_MESSAGES,
                f"A body may have {most} messages.",
                "Send them one body after the other, or raise REALTIME_MAX_MESSAGES.",
            )
