"""The routes: a page per project, and writes through the ORM. No route tells a browser what changed: the commit does."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from werkzeug.exceptions import HTTPException

from examples.flask_demo import panels, script
from examples.flask_demo import realtime as declarations
from examples.flask_demo.access import current_user, member_of, number, page_of, title
from examples.flask_demo.models import Page, Project, User, db

blueprint = Blueprint("demo", __name__)
GHOSTS = 50


@blueprint.url_value_preprocessor
def keep_in_bounds(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """A number that no INTEGER column can hold names nothing."""
    if any(isinstance(value, int) and value >= 2**31 for value in (values or {}).values()):
        abort(404)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Who are you? Then on to the project that both users share."""
    if current_user() is None:
        return render_template("sign_in.html", users=db.session.scalars(select(User).order_by(User.id)))
    return redirect(url_for("demo.project", project_id=1))


@blueprint.get("/projects/<int:project_id>")
def project(project_id: int) -> ResponseReturnValue:
    """The page. It holds no rows: they come through the channel, or are refused there, as for anybody else."""
    user = current_user()
    if user is None:
        return redirect(url_for("demo.home"))
    return render_template(
        "project.html",
        user=user,
        users=db.session.scalars(select(User).order_by(User.id)).all(),
        project=db.session.get(Project, project_id) if user.can_read(project_id) else None,
        others=names_of_others(user, project_id),
        project_id=project_id,
        channel=f"projects/{project_id}/pages",
        ghosts=GHOSTS,
        declarations=inspect.getsource(declarations),
        described=declarations.realtime.describe(),
        script=inspect.getsource(script.reverse),
        javascript=Path(__file__).with_name("static").joinpath("project.js").read_text("utf-8"),
    )


def names_of_others(user: User, project_id: int) -> list[tuple[int, str | None]]:
    """Where else to go. A name, too, is for members alone."""
    others = db.session.scalars(select(Project).where(Project.id != project_id).order_by(Project.id))
    return [(other.id, other.name if user.can_read(other.id) else None) for other in others]


@blueprint.get("/both")
def both() -> ResponseReturnValue:
    """Two windows in one, each with a connection of its own."""
    return redirect(url_for("demo.home")) if current_user() is None else render_template("both.html")


@blueprint.get("/frameworks")
def frameworks() -> ResponseReturnValue:
    """One channel in five frameworks, over one connection."""
    user = current_user()
    if user is None:
        return redirect(url_for("demo.home"))
    return render_template(
        "frameworks.html",
        user=user,
        users=db.session.scalars(select(User).order_by(User.id)).all(),
        panels=panels.PANELS,
        why_missing=panels.why_missing(),
    )


@blueprint.post("/session")
def sign_in() -> ResponseReturnValue:
    """A click is enough here. What matters is what it leaves: a user_id in Flask's session."""
    user = db.session.get(User, number("user"))
    if user is None:
        abort(400, "There is no such user.")
    session["user_id"] = user.id
    return "", 204


@blueprint.post("/projects/<int:project_id>/pages")
def add(project_id: int) -> ResponseReturnValue:
    """A new page, at the end."""
    user = member_of(project_id)
    last = db.session.scalar(select(func.max(Page.position)).filter_by(project_id=project_id)) or 0
    page = Page(project_id=project_id, position=last + 1, title=title(), edited_by=user.name)
    page.private_notes = f"For {user.name} alone: written in the demo."
    db.session.add(page)
    db.session.commit()
    return jsonify(id=page.id), 201


@blueprint.patch("/projects/<int:project_id>/pages/<int:page_id>")
def rename(project_id: int, page_id: int) -> ResponseReturnValue:
    """A new title."""
    user = member_of(project_id)
    page = page_of(project_id, page_id)
    page.title, page.edited_by = title(), user.name
    db.session.commit()
    return "", 204


@blueprint.delete("/projects/<int:project_id>/pages/<int:page_id>")
def delete(project_id: int, page_id: int) -> ResponseReturnValue:
    """Away with it."""
    member_of(project_id)
    db.session.delete(page_of(project_id, page_id))
    db.session.commit()
    return "", 204


@blueprint.post("/projects/<int:project_id>/script")
def run_script(project_id: int) -> ResponseReturnValue:
    """Run code that knows nothing of browsers."""
    member_of(project_id)
    return jsonify(changed=script.reverse(project_id))


@blueprint.post("/projects/<int:project_id>/rollback")
def roll_back(project_id: int) -> ResponseReturnValue:
    """Many rows that never were."""
    member_of(project_id)
    return jsonify(inserted=script.add_and_roll_back(project_id, GHOSTS))


@blueprint.app_errorhandler(HTTPException)
def explain(error: HTTPException) -> Response | HTTPException:
    """Scripts get a sentence as JSON, people what Flask shows them."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return error
    answer = jsonify(error=error.description)
    answer.status_code = error.code or 500
    return answer
