"""An application of Flask's whose pages have Pusher's clients: it signs for its users by the rules of its channels."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, send_from_directory, session
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from sqla_realtime import Realtime, anyone, signed_in
from sqla_realtime.integrations.pusher import blueprint
from tests.support.models import Page as Row
from tests.support.models import PageOut, Project

MODULES = Path(__file__).parents[2] / "node_modules"
HTML = '<script src="/js/pusher-js/dist/web/pusher.js"></script><script src="/js/laravel-echo/dist/echo.iife.js"></script>'


class Site:
    """Pages of project 1, for anyone and for members; /login/<user> and /logout, /write commits one more."""

    def __init__(self, realtime: Realtime, engine: Engine) -> None:
        self.realtime = realtime
        self.sessions = sessionmaker(engine)
        self.banned: set[str] = set()
        realtime.publish(Row, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
        realtime.publish(Row, schema=PageOut, channel="members/{project_id}")
        realtime.channel("members/{project_id}")(lambda user, project_id: user is not None and user.id not in self.banned)
        realtime.channel("lounge")(signed_in)
        realtime.channel("news")(anyone)
        with self.sessions.begin() as session_:
            session_.add(Project(id=1))
        self.app = Flask("site")
        self.app.config.update(SECRET_KEY="the application's own secret key")  # noqa: S106
        self.app.register_blueprint(blueprint(realtime, info=lambda user: {"name": f"User {user.id}"}))
        realtime.init_app(self.app, self.sessions)
        self.app.add_url_rule("/", "page", lambda: HTML)
        self.app.add_url_rule("/js/<path:name>", "js", lambda name: send_from_directory(MODULES, name))
        self.app.add_url_rule("/login/<user>", "login", self.login)
        self.app.add_url_rule("/write", "write", self.write, methods=["POST"])

    def login(self, user: str) -> Response:
        session["user_id"] = user
        return Response(HTML, mimetype="text/html")

    def write(self) -> str:
        with self.sessions.begin() as session_:
            session_.add(Row(project_id=1, title="x"))
        return ""
