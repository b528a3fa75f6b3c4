"""A FastAPI application for several workers: its database is at SHARED_URL, its broadcaster where REALTIME_PORT says."""

from __future__ import annotations

import os
import time

from fastapi import FastAPI

from sqla_realtime.integrations.asgi import OwnWrites, lifespan
from tests.support.shared_app import make, write

realtime, sessions, _ = make(os.environ["SHARED_URL"], port=int(os.environ["REALTIME_PORT"]))
app = FastAPI(lifespan=lifespan(realtime))
app.add_middleware(OwnWrites, realtime=realtime)


@app.post("/pages/{title}")
def add(title: str) -> int:
    """Commit a page; answers with the process that did."""
    write(sessions, title)
    return os.getpid()


@app.get("/serving")
def serving() -> dict[str, int]:
    """This process, and whether it broadcasts. It takes a moment, so that of several requests each reaches another."""
    time.sleep(0.02)
    return {"pid": os.getpid(), "serving": realtime.running}
