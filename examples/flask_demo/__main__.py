"""python -m examples.flask_demo: serves the demo on 127.0.0.1; the first line of output is its URL. PORT moves it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress

from werkzeug.serving import make_server

from examples.flask_demo.app import create_app

HOST = "127.0.0.1"


def realtime_port(port: int) -> int:
    """REALTIME_PORT if it is set; else one that follows from the page's, so that open windows find it after a restart;
    else, where that one is taken, 0: any that is free."""
    if "REALTIME_PORT" in os.environ:
        return int(os.environ["REALTIME_PORT"])
    wanted = port + 3765 if port + 3765 < 2**16 else port - 3765
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, wanted))
        return wanted
    return 0


def main() -> None:
    """Serve until Ctrl+C or SIGTERM; either ends with a word to the clients, who then come back by themselves."""
    port = int(os.environ.get("PORT", "5000"))
    app = create_app(REALTIME_PORT=realtime_port(port))
    server = make_server(HOST, port, app, threaded=True)
    print(f"http://{HOST}:{server.port}", flush=True)
    print("Open it in two windows. Ctrl+C stops it.", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
