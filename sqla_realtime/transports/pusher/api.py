"""Pusher's HTTP API, by which an application in any language publishes and asks who is there; each request is signed.

Whatever does not hold in a signature is answered alike, so nobody learns which applications there are.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from concurrent.futures import Future
from typing import Any
from urllib.parse import unquote

from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.pusher import Desk, Desks
from sqla_realtime.protocol import pusher_api, pusher_signatures
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.pusher_api import Bad
from sqla_realtime.protocol.pusher_names import MAX_USER, Name, parse
from sqla_realtime.transports.gated import BodyHandler
from sqla_realtime.transports.lobby import Lobby

log = logging.getLogger(__name__)

# How long the log may take for an event, in seconds.
PATIENCE = 10.0


class ApiHandler(BodyHandler):
    """One request. Answers are JSON objects; refusals are text, as the libraries show it."""

    most = pusher_api.BODY

    def initialize(self, lobby: Lobby, desks: Desks) -> None:  # type: ignore[override]
        super().initialize(lobby)
        self._desks = desks
        # The parameters that the application has signed, of whatever else the URL has.
        self._signed: dict[str, str] = {}

    async def answer(self, desk: Desk, **path: str) -> dict[str, Any]:
        """What the request is answered with. Raises Bad."""
        raise NotImplementedError

    async def get(self, **path: str) -> None:
        """Ask."""
        await self._respond(**path)

    async def post(self, **path: str) -> None:
        """Do."""
        await self._respond(**path)

    async def _respond(self, app: str | None = None, **path: str) -> None:
        try:
            self._check_size(self._size)
            answer = await self.answer(self._identified(app), **path)
        except Bad as bad:
            self._fail(bad.status, str(bad))
        except Refused as refused:
            self._fail(413, refused.message)
        else:
            self.set_header("Content-Type", "application/json")
            self.finish(answer)

    def _identified(self, app: str | None) -> Desk:
        """The application that has signed the request. Raises Bad."""
        arguments = self.request.query_arguments
        query = {name.lower(): values[-1].decode("utf-8", "replace") for name, values in arguments.items()}
        desk = self._desks.of_id(app) if app is not None else self._desks.of_key(query.get("auth_key", ""))
        if desk is None:
            raise Bad("There is no such application, or it has not signed this.", 401)
        reason: str | None = None
        # Some libraries sign the path as it stands in the URL, others as it was before.
        for path in dict.fromkeys((self.request.path, unquote(self.request.path))):
            text = pusher_signatures.request_text(self.request.method or "", path, query.items())
            key, secret = desk.app.key, desk.app.secret
            reason = pusher_signatures.refusal(key, secret, text, query, body=bytes(self._body), now=time.time())
            if reason is None:
                self._signed = query
                return desk
        self._lobby.house.tally.note(ErrorCode.FORBIDDEN)
        known = reason if reason is not None and "timestamp" in reason else None
        raise Bad(known or "There is no such application, or it has not signed this.", 401)

    def _fail(self, status: int, message: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{message}\n")

    async def written(self, said: Future[Any]) -> None:
        """Until what was said is in the log. Raises Bad."""
        try:
            await asyncio.wait_for(asyncio.wrap_future(said), PATIENCE)
        except Exception as error:  # a time-out's, the log's, or any driver's
            log.warning("The log has not taken what an application said: %s. [log-lost]", type(error).__name__)
            raise Bad("The log does not take it.", 503) from error

    def wanted(self) -> set[str]:
        """The attributes that the request asks for."""
        return _attributes(self._signed.get("info"))


class EventsHandler(ApiHandler):
    """Publishes an event in some channels."""

    async def answer(self, desk: Desk, **path: str) -> dict[str, Any]:
        fields = pusher_api.body(bytes(self._body))
        events = pusher_api.published(desk.app.id, fields)
        await self.written(desk.publish(*events))
        wanted = _attributes(fields.get("info"))
        return {"channels": {event.channel: _state(desk, event.channel, wanted) for event in events}} if wanted else {}


class BatchHandler(ApiHandler):
    """Publishes several events."""

    async def answer(self, desk: Desk, **path: str) -> dict[str, Any]:
        fields = pusher_api.body(bytes(self._body))
        await self.written(desk.publish(*pusher_api.batched(desk.app.id, fields)))
        asked = [(str(item.get("channel")), _attributes(item.get("info"))) for item in fields["batch"]]
        told = [_state(desk, channel, wanted) for channel, wanted in asked]
        return {"batch": told} if any(wanted for _, wanted in asked) else {}


class ChannelsHandler(ApiHandler):
    """Tells which channels somebody is in."""

    async def answer(self, desk: Desk, **path: str) -> dict[str, Any]:
        prefix, info = self._signed.get("filter_by_prefix", ""), self.wanted()
        if "user_count" in info and not prefix.startswith("presence-"):
            raise Bad("user_count is known of presence channels alone: filter_by_prefix=presence-")
        names = [name for name in desk.occupied() if name.startswith(prefix)]
        return {"channels": {name: _state(desk, name, info) for name in names}}


class ChannelHandler(ApiHandler):
    """Tells of one channel."""

    async def answer(self, desk: Desk, **path: str) -> dict[str, Any]:
        name = _named(path["channel"])
        wanted = self.wanted()
        if "user_count" in wanted and name.kind != "presence":
            raise Bad("user_count is known of presence channels alone.")
        if "cache" in wanted and not name.cache:
            raise Bad("cache is known of channels alone that remember: cache-, private-cache- and so on.")
        known = {"occupied": desk.count(name.wire) > 0} | _state(desk, name.wire, wanted)
        last = desk.rooms.last(name.wire) if "cache" in wanted else None
        if last is not None:
            known["cache"] = {"data": json.loads(last.data)["data"], "ttl": math.ceil(last.left)}
        return known


class UsersHandler(ApiHandler):
    """Tells who is in a presence channel."""

    async def answer(self, desk: Desk, **path: str) -> dict[str, Any]:
        name = _named(path["channel"])
        if name.kind != "presence":
            raise Bad("Users are known of presence channels alone.")
        return {"users": [{"id": user} for user in desk.users(name.wire)]}


class TerminateHandler(ApiHandler):
    """Closes the connections of a user that is signed in."""

    async def answer(self, desk: Desk, **path: str) -> dict[str, Any]:
        user = path["user"]
        if not 0 < len(user) <= MAX_USER:
            raise Bad(f"The id of a user has 1 to {MAX_USER} characters.")
        await self.written(desk.terminate(user))
        return {}


def _named(channel: str) -> Name:
    name = parse(channel)
    if name is None:
        raise Bad("There are no channels of this name.")
    return name


def _attributes(asked: object) -> set[str]:
    """What is asked for in ``info``, of a request or of an event."""
    return {each for each in asked.split(",") if each} if isinstance(asked, str) else set()


def _state(desk: Desk, channel: str, info: set[str]) -> dict[str, Any]:
    """What is asked about a channel."""
    known: dict[str, Any] = {}
    if "user_count" in info and channel.startswith("presence-"):
        known["user_count"] = len(desk.users(channel))
    if "subscription_count" in info:
        known["subscription_count"] = desk.count(channel)
    return known
