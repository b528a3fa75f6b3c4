"""A Flask application for several processes: its database is at SHARED_URL, its broadcaster where REALTIME_PORT says."""

from __future__ import annotations

import os
import time

from flask import Flask

from tests.support.shared_app import make, write

realtime, sessions, _ = make(os.environ["SHARED_URL"], port=int(os.environ["REALTIME_PORT"]))
app = Flask(__name__)
realtime.init_app(app)


@app.post("/pages/<title>")
def add(title: str) -> str:
    """Commit a page; answers with the process that did."""
    write(sessions, title)
    return str(os.getpid())


@app.get("/")
def here() -> str:
    """This process, and no more."""
    return str(os.getpid())


@app.get("/serving")
def serving() -> dict[str, int]:
    """This process, and whether it broadcasts. It takes a moment, so that of several requests each reaches another."""
    time.sleep(0.02)
    return {"pid": os.getpid(), "serving": realtime.running}
