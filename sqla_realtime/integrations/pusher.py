"""The endpoints that Pusher's clients ask for signatures, ``/pusher/auth`` and ``/pusher/user-auth``, for Flask and ASGI.

Flask: ``app.register_blueprint(blueprint(realtime))``. FastAPI, Starlette: ``app.mount("/pusher", PusherAuth(realtime))``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from sqla_realtime.errors import BadSetting
from sqla_realtime.hub.doors import Handshake, Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.realtime import Realtime
from sqla_realtime.server.pusher_auth import Authoriser, Info, Watch

if TYPE_CHECKING:
    from flask import Blueprint

# What the form may be, in bytes.
BODY = 16 * 1024
# So many requests of Flask's are answered at once.
THREADS = 8


class Endpoint:
    """What both frameworks' endpoints do. ``key`` names the application where there are several; ``info(user)`` is what the
    others in a presence channel are told of a user, as JSON, ``watch(user)`` the ids of those whom it watches. Raises
    BadSetting where there is no such application."""

    def __init__(
        self, realtime: Realtime, key: str | None = None, info: Info | None = None, watch: Watch | None = None
    ) -> None:
        self._realtime = realtime
        self._key = key
        self._info = info
        self._watch = watch
        self._made: Authoriser | None = None

    @property
    def _authoriser(self) -> Authoriser:
        """Made by the first request, when all settings are there."""
        if self._made is None:
            realtime = self._realtime
            app = next((app for app in realtime.settings.pusher if self._key in (None, app.key)), None)
            if app is None:
                reason = "there is no application to sign for"
                remedy = 'Realtime(pusher=[{"key": .., "secret": .., "id": ..}])'
                raise BadSetting(name="pusher", source="settings", reason=reason, remedy=remedy)
            registry, settings, application = realtime._registry, realtime.settings, realtime._application
            self._made = Authoriser(registry, settings, application, app, info=self._info, watch=self._watch)
        return self._made

    async def answer(self, what: str, handshake: Handshake, form: Mapping[str, str]) -> tuple[int, str]:
        """The status and the JSON text for ``auth`` or ``user-auth``."""
        scheme, _, token = handshake.headers.get("authorization", "").partition(" ")
        given, socket = token if scheme.lower() == "bearer" else None, form.get("socket_id", "")
        try:
            if what == "user-auth":
                signed = await self._authoriser.user(handshake, given, socket)
            else:
                signed = await self._authoriser.channel(handshake, given, socket, form.get("channel_name", ""))
        except Refused as refused:
            status = 400 if refused.code == ErrorCode.INVALID_FIELD else 403
            return status, json.dumps({"error": refused.message})
        return 200, json.dumps(signed)


def blueprint(
    realtime: Realtime,
    *,
    prefix: str = "/pusher",
    key: str | None = None,
    info: Info | None = None,
    watch: Watch | None = None,
) -> Blueprint:
    """The endpoints as a blueprint of Flask's."""
    from flask import Blueprint, Response, request

    endpoint = Endpoint(realtime, key, info, watch)
    threads = ThreadPoolExecutor(THREADS, "realtime-pusher-view")
    made = Blueprint("realtime_pusher", __name__, url_prefix=prefix)

    def view(what: str) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        form = request.form.to_dict() if (request.content_length or 0) <= BODY else {}
        answer = endpoint.answer(what, Handshake(headers, request.remote_addr or ""), form)
        # Not in this thread, which may have a loop that runs.
        status, text = threads.submit(asyncio.run, answer).result()
        return Response(text, status, mimetype="application/json")

    made.add_url_rule("/auth", "auth", lambda: view("auth"), methods=["POST"])
    made.add_url_rule("/user-auth", "user_auth", lambda: view("user-auth"), methods=["POST"])
    return made


Message = MutableMapping[str, Any]


class PusherAuth:
    """The endpoints as an ASGI application, to be mounted."""

    def __init__(
        self, realtime: Realtime, *, key: str | None = None, info: Info | None = None, watch: Watch | None = None
    ) -> None:
        self._endpoint = Endpoint(realtime, key, info, watch)

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        what = scope.get("path", "").rpartition("/")[2]
        if scope["type"] != "http" or scope["method"] != "POST" or what not in ("auth", "user-auth"):
            status, text = 404, '{"error":"There is nothing here."}'
        else:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            address = (scope.get("client") or ("",))[0]
            status, text = await self._endpoint.answer(what, Handshake(headers, address), await _form(receive))
        start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        await send(start)
        await send({"type": "http.response.body", "body": text.encode()})


async def _form(receive: Callable[[], Awaitable[Message]]) -> dict[str, str]:
    """The form in a request's body, empty where that is too large."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY:
            return {}
        if not message.get("more_body", False):
            return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
