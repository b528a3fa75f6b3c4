"""Flask-SocketIO: socketio.emit() to a room; flask_socketio_rooms.py CHANNELS threading|gevent."""

from __future__ import annotations

import sys

if sys.argv[2] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import logging
import os
import socket
import threading
from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, join_room
from werkzeug.serving import WSGIRequestHandler

from benchmarks.fanout.peers.control import REQUEST, announce, message

channels = int(sys.argv[1])
app = Flask(__name__)
socketio = SocketIO(app, async_mode=sys.argv[2], ping_interval=3600, ping_timeout=3600)


class Silent(WSGIRequestHandler):
    """Says nothing of each request."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing."""


@socketio.on("connect")
def connect() -> None:
    """One connection."""
    join_room(request.args["channel"])


def serve(listening: socket.socket) -> None:
    """Requests, each for so many messages in one turn."""
    peer, _ = listening.accept()
    published = 0
    while data := peer.recv(REQUEST.size):
        while len(data) < REQUEST.size:
            data += peer.recv(REQUEST.size - len(data))
        burst, stamp = REQUEST.unpack(data)
        for _ in range(burst):
            socketio.emit("m", message(stamp), to=str(published % channels))
            published += 1
    os._exit(0)


def free_port() -> int:
    """One that nobody listens on; the server's own way to take port 0 does not tell which it was."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Serve for ever."""
    logging.disable(logging.CRITICAL)
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listening,), daemon=True).start()
    port = free_port()
    announce(port, listening.getsockname()[1])
    if sys.argv[2] == "gevent":
        socketio.run(app, "127.0.0.1", port, log_output=False)
    else:
        socketio.run(app, "127.0.0.1", port, allow_unsafe_werkzeug=True, request_handler=Silent, log_output=False)


if __name__ == "__main__":
    main()
