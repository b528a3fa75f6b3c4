"""What the broadcaster's process loads: ``sqla-realtime serve --app examples.flask_demo.serve``, run by broadcaster.py."""

from __future__ import annotations

import os
import signal
import threading

from examples.flask_demo.app import create_app
from examples.flask_demo.companions import wait_for_the_end_of_the_demo
from examples.flask_demo.realtime import realtime

__all__ = ["realtime"]


def end_with_the_demo() -> None:
    """As SIGTERM does: clients are told to come back."""
    wait_for_the_end_of_the_demo()
    os.kill(os.getpid(), signal.SIGTERM)


create_app()
threading.Thread(target=end_with_the_demo, daemon=True).start()
