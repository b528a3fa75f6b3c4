"""An application's server that is told by webhooks, which Pusher's own library has to take."""

from __future__ import annotations

import asyncio
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any

import pusher

from tests.transports.pusher.test_socket import APP


class Told:
    """An application's server; ``statuses`` are its next answers, 200 after that."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[tuple[dict[str, str], bytes]] = queue.SimpleQueue()
        self.statuses: list[int] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(told.statuses.pop(0) if told.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                told.requests.put((dict(self.headers.items()), body))

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self) -> Told:
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    async def next(self) -> dict[str, Any]:
        """What is told next, as the library reads it."""
        headers, body = await asyncio.to_thread(self.requests.get, timeout=20)
        library = pusher.Pusher(app_id="1", key=APP["key"], secret=APP["secret"], host="127.0.0.1")
        found: dict[str, Any] = library.validate_webhook(headers["X-Pusher-Key"], headers["X-Pusher-Signature"], body)
        assert found is not None, "the library does not take it"
        return found
