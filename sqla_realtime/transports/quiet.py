"""What every handler does: nothing of a traceback, a token or a query string reaches the network or the log."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.web import HTTPError, RequestHandler

log = logging.getLogger(__name__)

# How long a client may take to read an answer, in seconds.
TAKING = 60.0


class QuietHandler(RequestHandler):
    """Answers errors with a status and its standard phrase, and logs our own mistakes by path alone."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")

    @property
    def place(self) -> str:
        """What was asked for, as it may stand in a log."""
        return self.request.path

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(HTTPStatus(status_code).phrase + "\n")

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """Answer. A connection whose client does not take that is not kept: no conversation has it any more, so nothing else
        would count it, and its answer is in memory."""
        taken = super().finish(chunk)
        if not taken.done():
            stream = cast(HTTP1Connection, self.request.connection).stream
            timer = asyncio.get_running_loop().call_later(TAKING, stream.close)
            taken.add_done_callback(lambda taken: timer.cancel())
        return taken

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not isinstance(value, HTTPError):
            log.error("A request to %s failed. [request-failed]", self.place, exc_info=value)


class NotFoundHandler(QuietHandler):
    """Every path that is none of ours."""

    def prepare(self) -> None:
        raise HTTPError(404)


def log_request(handler: RequestHandler) -> None:
    """One line per request at DEBUG, without the query, which can hold a token."""
    place = handler.place if isinstance(handler, QuietHandler) else ""
    log.debug("%s %s %d", handler.request.method, place, handler.get_status())


@contextmanager
def discretion() -> Iterator[None]:
    """While it lasts, Tornado's complaints about a client in this thread leave out what the client has sent.

    They quote header values, which can be cookies, and add tracebacks that anybody could fill the disk with.
    """
    thread = threading.get_ident()

    def discreet(record: logging.LogRecord) -> bool:
        if threading.get_ident() == thread and str(record.msg).startswith("Malformed"):
            record.msg, record.args, record.exc_info = "A client's request was malformed.", (), None
        return True

    general = logging.getLogger("tornado.general")
    general.addFilter(discreet)
    try:
        yield
    finally:
        general.removeFilter(discreet)
