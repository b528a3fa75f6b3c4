"""What keeps other sites out: writes take JSON alone, and a page loads from its own two ports alone."""

from __future__ import annotations

import secrets

from flask import Flask, Response, abort, g, request

from examples.flask_demo.realtime import realtime


def init_app(app: Flask) -> None:
    """Guard every request and every answer of the application."""
    app.before_request(refuse_forms)
    app.after_request(restrict)


def refuse_forms() -> None:
    """Another site's form can be posted with our visitor's cookie, but never as JSON: that takes our permission (CORS)."""
    g.nonce = secrets.token_urlsafe(16)
    if request.blueprint == "realtime_pusher":
        return  # pusher-js sends a form; nothing is written, and what it is answered no other site can read
    if request.method not in ("GET", "HEAD", "OPTIONS") and request.mimetype != "application/json":
        abort(415, "Send JSON: Content-Type: application/json.")


def restrict(response: Response) -> Response:
    """Say what the answer may load. One that is an error needs nothing, and its Host may be one that we do not trust."""
    response.headers["Content-Security-Policy"] = "default-src 'none'" if response.status_code >= 400 else policy()
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def policy() -> str:
    """A Content-Security-Policy that names the broadcaster; its import map is the one inline script, by nonce."""
    server = f"{request.host.partition(':')[0]}:{realtime.port}"
    return (
        f"default-src 'self'; script-src 'self' http://{server} 'nonce-{g.nonce}'; "
        f"connect-src 'self' http://{server} ws://{server}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; object-src 'none'"
    )
