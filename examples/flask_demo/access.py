"""Who asks, whether they may, and what they send: the checks that every route shares, each ending the request if it fails."""

from __future__ import annotations

from typing import Any

from flask import abort, request, session

from examples.flask_demo.models import Page, User, db
from sqla_realtime import Position


def current_user() -> User | None:
    """Who the session cookie says it is."""
    user_id = session.get("user_id")
    return None if user_id is None else db.session.get(User, user_id)


def member_of(project_id: int) -> User:
    """The current user, or a refusal that is the same for what is forbidden and what does not exist."""
    user = current_user()
    if user is None or not user.can_read(project_id):
        abort(403, "There is no such project, or it is not for you.")
    return user


def page_of(project_id: int, page_id: int) -> Page:
    """A page of that very project."""
    page = db.session.get(Page, page_id)
    if page is None or page.project_id != project_id:
        abort(404, "This page is gone.")
    return page


def title() -> str:
    """The title in the request's body."""
    value = field("title")
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 120:
        abort(400, "A title has 1 to 120 characters.")
    return value.strip()


def number(name: str) -> int:
    """A whole number in the request's body."""
    value = field(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        abort(400, f"{name} is a whole number.")
    return value


def position(name: str) -> Position:
    """A position of the log in the URL."""
    value = Position.parse(request.args.get(name, ""))
    if value is None:
        abort(400, f"{name} is a position.")
    return value


def field(name: str) -> Any:
    """A member of the request's body, if that is an object at all."""
    body = request.get_json()
    return body.get(name) if isinstance(body, dict) else None
