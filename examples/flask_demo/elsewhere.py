"""A script in a process of its own: ``python -m examples.flask_demo.elsewhere PROJECT``. It has no port, and sends nothing."""

from __future__ import annotations

import os
import sys

from examples.flask_demo import create_app
from examples.flask_demo.models import Page, db, next_position


def add(project_id: int) -> None:
    """One page, in a Session of this process."""
    page = Page(project_id=project_id, position=next_position(project_id), edited_by="a script")
    page.title = f"From process {os.getpid()}"
    page.private_notes = "For nobody: written by a script."
    db.session.add(page)
    db.session.commit()


if __name__ == "__main__":
    with create_app().app_context():
        add(int(sys.argv[1]))
    print(os.getpid())
