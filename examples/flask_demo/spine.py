"""/spine: the application of Spine's guide, over Juggernaut's client or over pusher-js, and the routes that Spine asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Blueprint, abort, jsonify, render_template, send_from_directory
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from examples.flask_demo.access import current_user, member_of, page_of, title
from examples.flask_demo.models import Page, User, db, next_position
from examples.flask_demo.realtime import PageOut, realtime
from examples.flask_demo.views import GHOSTS, wait_for_the_broadcaster

blueprint = Blueprint("spine", __name__, url_prefix="/spine")
# Juggernaut's client does not try its first handshake twice.
blueprint.before_request(wait_for_the_broadcaster)
# The project that both users share.
PROJECT = 1
# By which pusher-js names the demo; it is no secret.
KEY = "demo"
PACKAGES = Path(__file__).resolve().parents[2] / "node_modules"
STATIC = Path(__file__).with_name("static")
# What a page loads, in this order. Nothing of it is ours, and none of it was changed.
SCRIPTS = {"jquery.js": "jquery/dist/jquery.js", "spine.js": "spine/lib/spine.js", "ajax.js": "spine/lib/ajax.js"}
CLIENTS = {
    "juggernaut": {"juggernaut.js": "juggernaut/public/application.js"},
    "pusher": {"pusher.js": "pusher-js/dist/web/pusher.js"},
}


@blueprint.get("/", defaults={"client": "juggernaut"})
@blueprint.get("/<any(pusher):client>/")
def application(client: str) -> ResponseReturnValue:
    """The page, which holds no rows."""
    user, users = current_user(), db.session.scalars(select(User).order_by(User.id)).all()
    if user is None:
        return render_template("sign_in.html", users=users)
    scripts = SCRIPTS | CLIENTS[client]
    return render_template(
        "spine.html",
        user=user,
        users=users,
        client=client,
        scripts=scripts,
        installed=all((PACKAGES / path).exists() for path in scripts.values()),
        port=realtime.port,
        key=KEY,
        ghosts=GHOSTS,
        sources={name: (STATIC / name).read_text("utf-8") for name in (f"over-{client}.js", "spine.js")},
    )


@blueprint.get("/scripts/<name>")
def script(name: str) -> ResponseReturnValue:
    """One of the packages' files."""
    paths = SCRIPTS | CLIENTS["juggernaut"] | CLIENTS["pusher"]
    if name not in paths:
        abort(404)
    return send_from_directory(PACKAGES, paths[name])


@blueprint.get("/pages")
def read() -> ResponseReturnValue:
    """All of them, for a client that begins without rows."""
    member_of(PROJECT)
    pages = db.session.scalars(select(Page).filter_by(project_id=PROJECT).order_by(Page.position, Page.id))
    return jsonify([_spelled(page) for page in pages])


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
    return jsonify(_spelled(page))


def _spelled(page: Page) -> dict[str, Any]:
    return PageOut.model_validate(page, from_attributes=True).model_dump()
