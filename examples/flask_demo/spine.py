"""/spine: the application of Spine's guide, over Juggernaut's client as npm has it, and the routes that Spine asks for."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, abort, jsonify, redirect, render_template, send_from_directory, url_for
from flask.typing import ResponseReturnValue

from examples.flask_demo.access import current_user, member_of, page_of, title
from examples.flask_demo.models import Page, db, next_position
from examples.flask_demo.realtime import PageOut, realtime
from examples.flask_demo.views import wait_for_the_broadcaster

blueprint = Blueprint("spine", __name__, url_prefix="/spine")
# Juggernaut's client does not try its first handshake twice.
blueprint.before_request(wait_for_the_broadcaster)
# The project that both users share.
PROJECT = 1
PACKAGES = Path(__file__).resolve().parents[2] / "node_modules"
# What the page loads, in this order. Nothing of it is ours, and none of it was changed.
SCRIPTS = {
    "jquery.js": "jquery/dist/jquery.js",
    "spine.js": "spine/lib/spine.js",
    "ajax.js": "spine/lib/ajax.js",
    "juggernaut.js": "juggernaut/public/application.js",
}


@blueprint.get("/")
def application() -> ResponseReturnValue:
    """The page, which holds no rows: its subscription begins with them."""
    user = current_user()
    if user is None:
        return redirect(url_for("demo.home"))
    return render_template(
        "spine.html",
        user=user,
        scripts=SCRIPTS,
        installed=all((PACKAGES / path).exists() for path in SCRIPTS.values()),
        port=realtime.port,
        javascript=Path(__file__).with_name("static").joinpath("spine.js").read_text("utf-8"),
    )


@blueprint.get("/scripts/<name>")
def script(name: str) -> ResponseReturnValue:
    """One of the packages' files."""
    if name not in SCRIPTS:
        abort(404)
    return send_from_directory(PACKAGES, SCRIPTS[name])


@blueprint.post("/pages")
def create() -> ResponseReturnValue:
    """Spine has made up an id, which the answer's takes the place of."""
    user = member_of(PROJECT)
    page = Page(project_id=PROJECT, position=next_position(PROJECT), title=title(), edited_by=user.name)
    page.private_notes = f"For {user.name} alone: written with Spine."
    db.session.add(page)
    db.session.commit()
    return _answer(page), 201


@blueprint.put("/pages/<int:page_id>")
def update(page_id: int) -> ResponseReturnValue:
    """Spine sends all that it knows; the title counts."""
    user = member_of(PROJECT)
    page = page_of(PROJECT, page_id)
    page.title, page.edited_by = title(), user.name
    db.session.commit()
    return _answer(page)


@blueprint.delete("/pages/<int:page_id>")
def destroy(page_id: int) -> ResponseReturnValue:
    """Away with it."""
    member_of(PROJECT)
    db.session.delete(page_of(PROJECT, page_id))
    db.session.commit()
    return "", 204


def _answer(page: Page) -> ResponseReturnValue:
    return jsonify(PageOut.model_validate(page, from_attributes=True).model_dump())
