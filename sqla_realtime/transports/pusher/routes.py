"""The paths of Pusher's protocol, which are at the root of the port: none where there is no application that speaks it."""

from __future__ import annotations

from typing import Any

from sqla_realtime.hub.pusher import Desks
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pusher.socket import PusherSocketHandler


def routes(lobby: Lobby, desks: Desks) -> list[tuple[str, type, dict[str, Any]]]:
    """What Tornado is to route."""
    if not any(desks):
        return []
    parts = {"lobby": lobby, "desks": desks}
    return [(r"/app/(?P<key>[^/]+)", PusherSocketHandler, parts)]
