"""The application factory: configuration, the database, realtime and the routes. Importing it starts nothing."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from examples.common import demo_folder, secret_in
from examples.flask_demo import security, spine, views
from examples.flask_demo.models import db, prepare
from examples.flask_demo.realtime import realtime
from sqla_realtime.integrations import pusher


def create_app(**config: Any) -> Flask:
    """The demo. DEMO_DATABASE is the URL of its database, an SQLite file by default."""
    port = os.environ.get("PORT", "5000")
    folder = demo_folder("flask_demo")
    app = Flask(__name__, instance_path=str(folder))
    app.config.update(
        SECRET_KEY=secret_in(folder),
        SQLALCHEMY_DATABASE_URI=os.environ.get("DEMO_DATABASE") or f"sqlite:///{folder / 'demo.db'}",
        # Cookies know no ports, so the name has to tell two demos apart.
        SESSION_COOKIE_NAME=f"demo_{port}",
        SESSION_COOKIE_SAMESITE="Lax",
        TRUSTED_HOSTS=["127.0.0.1", "localhost"],
        # Trust pages of this machine whatever their port, under gunicorn too. Elsewhere: REALTIME_ALLOWED_ORIGINS.
        REALTIME_DEVELOPMENT=True,
        # The page over pusher-js needs it, and nothing else does.
        REALTIME_PUSHER=[{"key": spine.KEY, "secret": secret_in(folder, "pusher-secret"), "id": "1"}],
    )
    app.config.update(config)

    db.init_app(app)
    realtime.init_app(app, db)
    security.init_app(app)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(spine.blueprint)
    app.register_blueprint(pusher.blueprint(realtime, info=lambda user: {"name": user.name}))
    with app.app_context():
        realtime.metadata.create_all(db.engine)
        prepare()
    return app
