"""The routes: a page per project, and writes through the ORM. No route tells a browser what changed: the commit does."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.exceptions import HTTPException

from examples.flask_demo import companions, missed, panels, script
from examples.flask_demo import realtime as declarations
from examples.flask_demo.access import current_user, member_of, number, page_of, position, title
from examples.flask_demo.broadcaster import Broadcaster
from examples.flask_demo.models import Page, Project, User, db, next_position

blueprint = Blueprint("demo", __name__)
GHOSTS = 50
# How long a page that is loaded waits for a broadcaster, and how long a script may take, in seconds.
PATIENCE = 20.0


@blueprint.url_value_preprocessor
def keep_in_bounds(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """A number that no INTEGER column can hold names nothing."""
    if any(isinstance(value, int) and value >= 2**31 for value in (values or {}).values()):
        abort(404)


@blueprint.before_request
def wait_for_the_broadcaster() -> None:
    """A page loads the client from it, and would be dead if it came while there is none."""
    broadcaster = current_app.extensions.get("broadcaster")
    if broadcaster is not None and request.method == "GET":
        broadcaster.listens(PATIENCE)


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
        broadcaster=current_app.extensions.get("broadcaster"),
        declarations=inspect.getsource(declarations),
        described=declarations.realtime.describe(),
        script=inspect.getsource(script.reverse),
        elsewhere=Path(__file__).with_name("elsewhere.py").read_text("utf-8"),
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
    page = Page(project_id=project_id, position=next_position(project_id), title=title(), edited_by=user.name)
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


@blueprint.post("/projects/<int:project_id>/elsewhere")
def run_elsewhere(project_id: int) -> ResponseReturnValue:
    """Run a script in a process of its own, and wait until that has ended."""
    member_of(project_id)
    printed = companions.run(f"{__package__}.elsewhere", str(project_id), patience=PATIENCE)
    if printed is None:
        abort(409, "A script is running already. Try again.")
    return jsonify(process=int(printed))


@blueprint.post("/projects/<int:project_id>/kill")
def kill(project_id: int) -> ResponseReturnValue:
    """SIGKILL for the broadcaster: a child of this process, so nothing else can be hit."""
    member_of(project_id)
    broadcaster: Broadcaster | None = current_app.extensions.get("broadcaster")
    if broadcaster is None:
        abort(409, "Here the process that answers requests broadcasts, too. Start the demo with “make demo”.")
    pid = broadcaster.kill()
    if pid is None:
        abort(409, "There is no broadcaster at the moment. The next one is on its way.")
    return jsonify(process=pid)


@blueprint.get("/projects/<int:project_id>/missed")
def count_missed(project_id: int) -> ResponseReturnValue:
    """How many commits of this project lie between two positions that a page was at; null where the log cannot say."""
    member_of(project_id)
    channel = f"projects/{project_id}/pages"
    return jsonify(missed=missed.count(db.engine, channel, position("after"), position("until")))


@blueprint.app_errorhandler(HTTPException)
def explain(error: HTTPException) -> Response | HTTPException:
    """Scripts get a sentence as JSON, people what Flask shows them."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return error
    answer = jsonify(error=error.description)
    answer.status_code = error.code or 500
    return answer
