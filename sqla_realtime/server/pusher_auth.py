"""What an application signs for its users' Pusher clients: admissions, by the same rules as ever, and who they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqla_realtime.hub.doors import Guest, Handshake, Refused
from sqla_realtime.protocol import pusher_signatures
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.pusher_api import SOCKET
from sqla_realtime.protocol.pusher_messages import compact
from sqla_realtime.protocol.pusher_names import MAX_USER, parse
from sqla_realtime.schema.registry import Registry
from sqla_realtime.server.doors import Application, ApplicationDoorkeeper, Workers
from sqla_realtime.settings import PusherApp, Settings

# What ``info`` says of a user, which everybody in its presence channels is told.
Info = Callable[[Any], Any]
# Whom a user watches, by their ids.
Watch = Callable[[Any], Iterable[object]]


class Authoriser:
    """Signs with one application's secret. Its methods run on any loop, and raise Refused.

    Who the client is its session cookie says, or a token. That is in the signature, so that a connection ends where this
    user's rights change, and those of others do not.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        application: Application,
        app: PusherApp,
        *,
        info: Info | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._app = app
        self._info = info
        self._watch = watch
        self._workers = Workers(application, settings.snapshot_threads, "realtime-pusher")
        self._doorkeeper = ApplicationDoorkeeper(registry, settings, application, self._workers)

    async def channel(self, handshake: Handshake, token: str | None, socket: str, channel: str) -> dict[str, str]:
        """What lets this connection into a channel."""
        name = parse(channel)
        if name is None or not SOCKET.fullmatch(socket):
            raise Refused(ErrorCode.INVALID_FIELD, "socket_id and channel_name must be what the client has of them.")
        guest = await self._doorkeeper.identify(handshake, token)
        if name.kind not in ("private", "presence"):
            raise Refused(ErrorCode.FORBIDDEN, "Only private and presence channels are signed here.")
        for each in self._doorkeeper.meant(name.channel):
            await self._doorkeeper.permit(guest.user, each)
        data = None
        if name.kind == "presence":
            data = compact({"user_id": _id(guest), "user_info": await self._about(guest)} | _until(guest))
        elif guest.id is not None:
            data = compact({"user_id": _id(guest)} | _until(guest))
        return self._signed(pusher_signatures.admission(socket, channel, data), channel_data=data)

    async def user(self, handshake: Handshake, token: str | None, socket: str) -> dict[str, str]:
        """What says whose this connection is."""
        if not SOCKET.fullmatch(socket):
            raise Refused(ErrorCode.INVALID_FIELD, "socket_id must be what the client has of it.")
        guest = await self._doorkeeper.identify(handshake, token)
        told = {"id": _id(guest), "user_info": await self._about(guest)}
        data = compact(told | await self._watchlist(guest) | _until(guest))
        return self._signed(pusher_signatures.user(socket, data), user_data=data)

    def _signed(self, text: str, **data: str | None) -> dict[str, str]:
        auth = f"{self._app.key}:{pusher_signatures.sign(self._app.secret, text)}"
        return {"auth": auth} | {name: value for name, value in data.items() if value is not None}

    async def _watchlist(self, guest: Guest) -> dict[str, Any]:
        watch = self._watch
        if watch is None:
            return {}
        return {"watchlist": await self._workers.run(lambda user: [str(each) for each in watch(user)], guest.user)}

    async def _about(self, guest: Guest) -> Any:
        return None if self._info is None else await self._workers.run(self._info, guest.user)


def _until(guest: Guest) -> dict[str, Any]:
    """The end of the token that has said who it is: what is signed ends with it."""
    return {} if guest.expires is None else {"expires": guest.expires}


def _id(guest: Guest) -> str:
    if guest.id is None or not 0 < len(guest.id) <= MAX_USER or not guest.id.isprintable():
        raise Refused(ErrorCode.FORBIDDEN, "This is for those who are signed in.")
    return guest.id
