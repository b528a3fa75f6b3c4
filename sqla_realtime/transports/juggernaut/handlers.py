"""The ways in: a handshake that hands out a session, then one of three transports that the session is carried by.

They are beside everything else, and only where a channel has a name for them.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from tornado.iostream import IOStream

from sqla_realtime.hub.doors import Handshake, Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.juggernaut import DISCONNECT, NO_SESSION, NOOP, packets, payload
from sqla_realtime.schema.aliases import Aliases
from sqla_realtime.transports.handshake import origin_of
from sqla_realtime.transports.juggernaut.switchboard import Switchboard
from sqla_realtime.transports.line import sent_away
from sqla_realtime.transports.link import Link
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.mailbox import Mailbox
from sqla_realtime.transports.sessions import SessionHandler
from sqla_realtime.transports.websocket import SocketHandler

_SESSION = r"([A-Za-z0-9_-]{1,80})"


class JuggernautSocketHandler(SocketHandler):
    """The WebSocket of a session. Like every other one it is let in by its cookie; the session is no more than its name."""

    def initialize(self, switchboard: Switchboard) -> None:  # type: ignore[override]
        super().initialize(switchboard.lobby)
        self._switchboard = switchboard

    @property
    def place(self) -> str:
        return _place(self.request.path)

    def select(self, headers: dict[str, str]) -> str | None:
        return None  # Socket.IO 0.8 offers none

    def begin(self, stream: IOStream, subprotocol: str | None, handshake: Handshake) -> None:
        session = self.path_args[0]
        self._switchboard.expects(session)
        reader = self._switchboard.reader()
        talk = self._switchboard.talk(reader, handshake)
        Link(self._lobby, talk, reader, stream)
        self._switchboard.begin(talk, session)


class _PlainHandler(SessionHandler):
    """Answers with text, or with a script where one asks."""

    def initialize(self, switchboard: Switchboard) -> None:  # type: ignore[override]
        super().initialize(switchboard.sessions)
        self._switchboard = switchboard

    @property
    def place(self) -> str:
        return _place(self.request.path)

    def knock(self) -> None:
        """A script is asked for without an Origin, and any page could read it: the Referer has to say that this one may, or
        the browser that it is the server's own."""
        headers = self.named()
        own = headers.get("sec-fetch-site") == "same-origin"
        if "origin" not in headers and not own and ("referer" in headers or self.is_script):
            headers["origin"] = origin_of(headers.get("referer", "null"))
            self._lobby.gate.check(headers)
        else:
            super().knock()

    @property
    def is_script(self) -> bool:
        """Whether the answer is to be one."""
        return "jsonp" in self.request.query_arguments

    def compute_etag(self) -> None:
        """No two answers are the same one."""

    def say(self, text: str, number: str | None = None) -> None:
        """The answer; with a number, that of the page's function that a script is to call with it."""
        self.set_header("Cache-Control", "no-store")
        if number is not None and number.isascii() and number.isdigit():
            self.set_header("Content-Type", "text/javascript; charset=utf-8")
            text = f"io.j[{int(number[:9])}]({json.dumps(text)});"
        else:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(text)


class HandshakeHandler(_PlainHandler):
    """``GET /socket.io/1/``."""

    async def get(self) -> None:
        try:
            await self.line_up()
        except Refused as refused:
            self.refuse(refused)
        else:
            self.say(self._switchboard.handshake(), self.get_query_argument("jsonp", None))


class PollHandler(_PlainHandler):
    """xhr-polling: a GET waits for what comes, a POST brings what the client says. Who knows a session speaks for it."""

    async def get(self, session: str) -> None:
        try:
            if self._switchboard.expects(session):
                await self.line_up()
                box: Mailbox | None = self._open(session)
            else:
                box = await self.find(session)
        except Refused as refused:
            self.refuse(refused)
            return
        if box is None:
            self.answer([NO_SESSION])
            return
        lines = await self.take(box, self._lobby.patience)
        answer = [*(lines or []), *([] if box.close_code is None else [NO_SESSION])] or [NOOP]
        box.pause(self)
        self.answer(answer)

    def answer(self, lines: list[bytes]) -> None:
        self.say(payload(lines))

    def packets(self, body: str) -> list[str]:
        return packets(body)

    async def post(self, session: str) -> None:
        try:
            said = self.posted()
            box = await self.find(session)
        except Refused as refused:
            self.refuse(refused)
            return
        if box is None:
            self.answer([NO_SESSION])
            return
        for text in said:
            if text.startswith(DISCONNECT.decode()):
                box.end()
                break
            box.receive(text)
        self.say("1")

    def _open(self, session: str) -> Mailbox:
        """Raises Refused for one too many: a client that has not begun would ask again at once, whatever a packet says."""
        box = self._switchboard.open(session, self._lobby.handshake(self.named(), self.request.remote_ip or ""))
        if box.close_code is not None:
            raise sent_away()
        return box


class ScriptHandler(PollHandler):
    """jsonp-polling: the same for pages of browsers without CORS, by scripts and forms."""

    @property
    def is_script(self) -> bool:
        return self.request.method == "GET"  # browsers name a form's origin

    def answer(self, lines: list[bytes]) -> None:
        self.say(payload(lines), self.get_query_argument("i", "0"))

    def said(self) -> str:
        try:
            [text] = parse_qs(self.body(), strict_parsing=True)["d"]
            said = json.loads(text)
        except (ValueError, LookupError, RecursionError):
            said = None
        if not isinstance(said, str):
            raise Refused(ErrorCode.MALFORMED, "The form's field d is no text in JSON.")
        return said


def _place(path: str) -> str:
    """A path without the session, by which whoever knows it could read and speak."""
    return path.rpartition("/")[0]


def routes(lobby: Lobby, aliases: Aliases) -> list[Any]:
    """The routes, none where there is no alias."""
    if not aliases:
        return []
    parts = {"switchboard": Switchboard(lobby, aliases)}
    return [
        (r"/socket\.io/1/?", HandshakeHandler, parts),
        (rf"/socket\.io/1/websocket/{_SESSION}", JuggernautSocketHandler, parts),
        (rf"/socket\.io/1/xhr-polling/{_SESSION}", PollHandler, parts),
        (rf"/socket\.io/1/jsonp-polling/{_SESSION}", ScriptHandler, parts),
    ]
