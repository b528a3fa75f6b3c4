"""What two buttons run in the process of the server. It is plain SQLAlchemy, like any script or job: no line sends anything."""

from __future__ import annotations

from sqlalchemy import func, select

from examples.flask_demo.models import Page, db


def reverse(project_id: int) -> int:
    """Turn the order of all pages round, in one transaction. How many rows it changed."""
    pages = db.session.scalars(select(Page).filter_by(project_id=project_id).order_by(Page.position, Page.id)).all()
    for page, position in zip(pages, [page.position for page in reversed(pages)], strict=True):
        page.position = position
        page.edited_by = "a script"
    db.session.commit()
    return len(pages)


def add_and_roll_back(project_id: int, count: int) -> int:
    """INSERT that many pages, think better of it, ROLLBACK. How many rows the database had taken by then."""
    for number in range(1, count + 1):
        page = Page(project_id=project_id, position=0, title=f"Ghost {number}", edited_by="nobody", private_notes="Boo.")
        db.session.add(page)
    db.session.flush()
    ghosts = select(func.count()).select_from(Page).filter_by(project_id=project_id, edited_by="nobody")
    inserted = db.session.scalar(ghosts) or 0
    db.session.rollback()
    return inserted
