"""A Celery application that has a task commit a page: the database is at SHARED_URL, the queue a folder at QUEUE."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import worker_ready

from tests.support.shared_app import make, write

folder = os.environ["QUEUE"]
realtime, sessions, _ = make(os.environ["SHARED_URL"])
app = Celery(
    "tests.support.celery_app",
    broker_url="filesystem://",
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}/control"},
)


@app.task
def add(title: str) -> None:
    """Commit a page, and tell which process has."""
    write(sessions, title)
    print(f"committed by {os.getpid()}", flush=True)


@worker_ready.connect
def begin(**more: object) -> None:
    """There is somebody to do it."""
    add.delay("of a task")
