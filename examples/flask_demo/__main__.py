"""python -m examples.flask_demo: serves the demo on 127.0.0.1; the first line of output is its URL. PORT moves it.

Three processes: this one answers requests and commits, one broadcasts (broadcaster.py), and each script is one of its own.
DEMO_DATABASE=postgres brings a PostgreSQL along (postgres.py), or names any database by its URL.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import MutableMapping
from contextlib import ExitStack

from werkzeug.serving import make_server

from examples.common import HOST, demo_folder, realtime_port
from examples.flask_demo import postgres
from examples.flask_demo.app import create_app
from examples.flask_demo.broadcaster import Broadcaster
from examples.flask_demo.realtime import realtime


def listen(port: int) -> socket.socket:
    """The socket for requests; they are answered later."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise SystemExit(f"{error.strerror}. Choose another port: make demo PORT={port + 1}") from error


def choose_database(environment: MutableMapping[str, str], stack: ExitStack) -> None:
    """Put the URL that DEMO_DATABASE stands for where this process and its children find it; without one it is SQLite."""
    wanted = environment.pop("DEMO_DATABASE", "")
    if wanted == "postgres":
        wanted = stack.enter_context(postgres.running(demo_folder("flask_demo") / "postgres"))
    if wanted not in ("", "sqlite"):
        environment["DEMO_DATABASE"] = wanted


def main() -> None:
    """Serve until Ctrl+C or SIGTERM; either ends with a word to the clients, who then come back by themselves."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ.get("PORT", "5000"))
    with ExitStack() as stack:
        # First of all: whoever has the port may use what is in its folder.
        listener = stack.enter_context(listen(port))
        choose_database(os.environ, stack)
        os.environ["REALTIME_PORT"] = str(realtime_port(port))
        app = create_app(REALTIME_EMBEDDED=False)
        stack.callback(realtime.stop)
        server = make_server(HOST, port, app, threaded=True, fd=listener.fileno())
        app.extensions["broadcaster"] = stack.enter_context(Broadcaster())
        print(f"http://{HOST}:{server.port}", flush=True)
        print("Open it in two windows. Ctrl+C stops it.", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
