"""The paths of Pusher's protocol, which are at the root of the port: none where there is no application that speaks it."""

from __future__ import annotations

from typing import Any

from sqla_realtime.hub.pusher import Desks
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pusher.api import (
    BatchHandler,
    ChannelHandler,
    ChannelsHandler,
    EventsHandler,
    TerminateHandler,
    UsersHandler,
)
from sqla_realtime.transports.pusher.socket import PusherSocketHandler
from sqla_realtime.transports.pusher.xhr import XhrHandler, XhrSendHandler, XhrStreamingHandler
from sqla_realtime.transports.sessions import Sessions


def routes(lobby: Lobby, desks: Desks) -> list[tuple[str, type, dict[str, Any]]]:
    """What Tornado is to route."""
    if not any(desks):
        return []
    parts = {"lobby": lobby, "desks": desks}
    app, channel, terminate = (
        "/apps/(?P<app>[^/]+)",
        "/channels/(?P<channel>[^/]+)",
        "/users/(?P<user>[^/]+)/terminate_connections",
    )
    paths: dict[str, type] = {
        "/app/(?P<key>[^/]+)": PusherSocketHandler,
        f"{app}/events": EventsHandler,
        f"{app}/batch_events": BatchHandler,
        f"{app}/channels": ChannelsHandler,
        f"{app}{channel}": ChannelHandler,
        f"{app}{channel}/users": UsersHandler,
        f"{app}{terminate}": TerminateHandler,
        terminate: TerminateHandler,  # as the library for Python has it
    }
    sessions = {"sessions": Sessions(lobby)}
    over_xhr: dict[str, tuple[type, dict[str, Any]]] = {
        "xhr": (XhrHandler, {**sessions, "desks": desks}),
        "xhr_streaming": (XhrStreamingHandler, {**sessions, "desks": desks}),
        "xhr_send": (XhrSendHandler, sessions),
    }
    session = "/pusher/app/(?P<key>[^/]+)/(?P<session>[0-9]{1,4}/[0-9a-z]{1,32})"
    return [
        *((path, handler, parts) for path, handler in paths.items()),
        *((f"{session}/{path}", *handler) for path, handler in over_xhr.items()),
    ]
