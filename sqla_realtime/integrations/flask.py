"""Flask: settings from ``app.config``, users from the session cookie, own writes, and a start in the process that serves.

Nothing starts in init_app: the reloader's parent imports the application too and would take the port, and so would a
preforking server's master. The first request starts the broadcaster, in whichever process is asked.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from flask import Flask, Request, Response, redirect, request, request_started
from markupsafe import Markup, escape

from sqla_realtime.capture.origin import Author, enter, leave, origin_of
from sqla_realtime.errors import AlreadyInitialised, GreenThreads, PortInUse, PortOfSibling
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.realtime import Realtime
from sqla_realtime.server.tokens import Identity

log = logging.getLogger(__name__)

# Where Flask-Login and the sign-in of many applications keep who it is.
USER_KEYS = ("_user_id", "user_id")
# After a port that was taken, so many seconds without another attempt.
RETRY = 5.0
# Where a request keeps who writes in it, and who did before. Not in g, which nested requests share.
AUTHOR = "sqla_realtime.author"
# The client's adapters, as its package.json exports them; those of React and Vue also need their framework in an import map.
ADAPTERS = ("dom", "element", "presence", "react", "svelte", "vue")


def init_app(realtime: Realtime, app: Flask, db: Any = None) -> None:
    """Wire a Realtime to a Flask application.

    Reads every ``REALTIME_*`` key of ``app.config``; an unknown one is a BadSetting. Where ``TESTING`` is set nothing
    is started by requests: call ``realtime.start()`` in the tests that want it.
    """
    if "realtime" in app.extensions:
        raise AlreadyInitialised(app=app.name)
    app.extensions["realtime"] = realtime
    realtime.configure(app.config, scope=app.app_context, session_cookie=SessionCookie(app))
    if db is not None:
        with app.app_context():  # where db shows its engines
            realtime.enable(db)
    wiring = _Wiring(realtime, app)
    app.before_request(wiring.start)
    # Before anybody's before_request, which may commit.
    request_started.connect(wiring.enter, app)
    app.after_request(wiring.answer)
    app.teardown_request(wiring.leave)
    app.add_url_rule(f"{realtime.settings.base}/<name>.js", "realtime_client", wiring.client)
    app.context_processor(lambda: {"realtime_script": wiring.script})


class SessionCookie:
    """Reads who a session cookie belongs to, through whatever session interface the application has."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, handshake: Handshake) -> Identity | None:
        """Called in a worker thread, inside the application's context."""
        environ = {
            "REQUEST_METHOD": "GET",
            "HTTP_HOST": handshake.headers.get("host", "localhost"),
            "HTTP_COOKIE": handshake.headers.get("cookie", ""),
            "REMOTE_ADDR": handshake.address,
            "wsgi.url_scheme": "http",
        }
        session = self._app.session_interface.open_session(self._app, Request(environ))
        for key in USER_KEYS:
            if session is not None and session.get(key) is not None:
                return Identity(str(session[key]), dict(session))
        return None


class _Wiring:
    """The views and the hook of one application."""

    def __init__(self, realtime: Realtime, app: Flask, clock: Callable[[], float] = time.monotonic) -> None:
        self._realtime = realtime
        self._app = app
        self._clock = clock
        self._failed: float | None = None  # when, if the last attempt did
        self._lock = threading.Lock()

    def start(self) -> None:
        """Before each request: make sure that this process broadcasts.

        Where it can't that is logged once, and requests go on. Where the port is taken some of them try again; where a
        sibling has it that is as it should be: one process broadcasts for all, and another one takes over when it ends.
        """
        if self._realtime.running or self._app.testing or not self._realtime.settings.embedded:
            return
        development = self._app.debug or request.environ.get("SERVER_SOFTWARE", "").startswith("Werkzeug")
        self._realtime.develop(development)
        with self._lock:
            if self._failed is not None and self._clock() - self._failed < RETRY:
                return
            try:
                self._realtime.start()
                self._failed = None
            except (PortInUse, GreenThreads) as error:
                if self._failed is None and not isinstance(error, PortOfSibling):
                    log.error("%s", error)
                self._failed = math.inf if isinstance(error, GreenThreads) else self._clock()

    def enter(self, app: Flask, **more: Any) -> None:
        """What the request commits is its sender's own."""
        headers = request.headers
        connection = headers.get("X-Realtime-Connection") or headers.get("X-Socket-ID")
        origin = origin_of(connection, headers.get("X-Session-ID"))
        author = Author(self._realtime._broker, origin)
        request.environ[AUTHOR] = (author, enter(author))

    def answer(self, response: Response) -> Response:
        """Tell the sender where its commits are."""
        author = request.environ[AUTHOR][0] if AUTHOR in request.environ else None
        position = author.position() if author is not None else None
        if position is not None:
            response.headers["X-Realtime-Position"] = str(position)
        return response

    def leave(self, error: BaseException | None) -> None:
        """The request has ended."""
        if AUTHOR in request.environ:
            leave(request.environ.pop(AUTHOR)[1])

    def client(self, name: str) -> Response:
        """``/realtime/realtime.js``: sends the browser to the server that serves it; the client connects to where it
        was loaded from, so it needs no configuration."""
        # A name of any characters, line ends too, as the browser's URL can have them.
        response = redirect(self._url(f"{quote(name, safe='')}.js"), code=307)
        assert isinstance(response, Response)  # noqa: S101 - what Flask's own redirect makes
        response.headers["Cache-Control"] = "no-store"
        return response

    def script(self, nonce: str | None = None) -> Markup:
        """``{{ realtime_script() }}``: an import map, so that ``import ... from "sqla-realtime"``, or from
        ``/realtime/realtime.js``, finds the client without a redirect; and ``"sqla-realtime/dom"`` an adapter."""
        names = dict.fromkeys(("sqla-realtime", f"{self._realtime.settings.base}/realtime.js"), "realtime.js")
        names |= {f"sqla-realtime/{name}": f"{name}.js" for name in ADAPTERS}
        urls = {name: self._url(file) for name, file in names.items()}
        imports = self._app.json.dumps({"imports": urls}).replace("<", "\\u003c")
        attribute = Markup(' nonce="{}"').format(escape(nonce)) if nonce else Markup()
        return Markup('<script type="importmap"{}>{}</script>').format(attribute, Markup(imports))  # noqa: S704

    def _url(self, file: str) -> str:
        settings = self._realtime.settings
        if settings.url is not None:
            return f"{settings.url.rstrip('/')}/{file}"
        host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
        return f"{request.scheme}://{host}:{self._realtime.port}{settings.base}/{file}"
