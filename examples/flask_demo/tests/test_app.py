"""The demo's routes, without a browser or a broadcaster: who may write what, and how every mistake is answered."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from examples.common import realtime_port
from examples.flask_demo import create_app, panels
from examples.flask_demo.__main__ import listen
from examples.flask_demo.models import Page, db
from examples.flask_demo.realtime import realtime


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setenv("DEMO_FOLDER", str(tmp_path))
    app = create_app(TESTING=True)
    yield app
    realtime.stop()  # it has read the log of this application's database
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def ada(app: Flask) -> FlaskClient:
    return signed_in(app, 1)


@pytest.fixture
def grace(app: Flask) -> FlaskClient:
    return signed_in(app, 2)


def signed_in(app: Flask, user: int) -> FlaskClient:
    client = app.test_client()
    assert client.post("/session", json={"user": user}).status_code == 204
    return client


def pages(app: Flask, project_id: int = 1) -> list[Any]:
    with app.app_context():
        rows = select(Page.title, Page.edited_by).filter_by(project_id=project_id).order_by(Page.position, Page.id)
        return [tuple(row) for row in db.session.execute(rows)]


def test_add_rename_delete(app: Flask, ada: FlaskClient, grace: FlaskClient) -> None:
    before = pages(app)
    added = grace.post("/projects/1/pages", json={"title": " A compiler "})
    assert added.status_code == 201
    assert pages(app) == [*before, ("A compiler", "Grace")]
    url = f"/projects/1/pages/{added.json['id']}"
    assert ada.patch(url, json={"title": "A compiler, at last"}).status_code == 204
    assert pages(app) == [*before, ("A compiler, at last", "Ada")]
    assert ada.delete(url, json={}).status_code == 204
    assert pages(app) == before
    assert ada.delete(url, json={}).json == {"error": "This page is gone."}


def test_every_row_has_private_notes(app: Flask, ada: FlaskClient) -> None:
    ada.post("/projects/1/pages", json={"title": "New"})
    with app.app_context():
        assert all(db.session.scalars(select(Page.private_notes)))


def test_a_script_changes_every_row(app: Flask, ada: FlaskClient) -> None:
    before = [title for title, _ in pages(app)]
    assert ada.post("/projects/1/script", json={}).json == {"changed": 6}
    assert pages(app) == [(title, "a script") for title in reversed(before)]


def test_a_rollback_leaves_nothing(app: Flask, ada: FlaskClient) -> None:
    before = pages(app)
    assert ada.post("/projects/1/rollback", json={}).json == {"inserted": 50}
    assert pages(app) == before


WRITES = [
    ("POST", "/projects/2/pages"),
    ("PATCH", "/projects/2/pages/7"),
    ("DELETE", "/projects/2/pages/7"),
    ("POST", "/projects/2/script"),
    ("POST", "/projects/2/rollback"),
    ("POST", "/projects/2/elsewhere"),
    ("POST", "/projects/2/kill"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_strangers_change_nothing(app: Flask, grace: FlaskClient, method: str, path: str) -> None:
    before = pages(app, 2)
    for client in (grace, app.test_client()):
        refused = client.open(path, method=method, json={"title": "Mine"})
        missing = client.open(path.replace("2", "99", 1), method=method, json={"title": "Mine"})
        assert (refused.status_code, refused.json) == (missing.status_code, missing.json)
        assert refused.status_code == 403
    assert pages(app, 2) == before


@pytest.mark.parametrize(("method", "path"), [("POST", "/session"), *WRITES])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "text/json", None])
def test_only_json_writes(app: Flask, ada: FlaskClient, method: str, path: str, kind: str | None) -> None:
    before = pages(app, 2)
    assert ada.open(path, method=method, data=b'{"title": "x", "user": 1}', content_type=kind).status_code == 415
    assert pages(app, 2) == before


@pytest.mark.parametrize("body", [{}, [], 1, "x", {"title": 1}, {"title": "  "}, {"title": "x" * 121}, {"title": None}])
def test_titles_are_checked(app: Flask, ada: FlaskClient, body: Any) -> None:
    before = pages(app)
    for method, path in (("POST", "/projects/1/pages"), ("PATCH", "/projects/1/pages/1")):
        answer = ada.open(path, method=method, json=body)
        assert (answer.status_code, answer.json) == (400, {"error": "A title has 1 to 120 characters."})
    assert pages(app) == before


@pytest.mark.parametrize("user", [0, 3, -1, "1", True, None, 1.0, 2**40, [1]])
def test_nobody_else_signs_in(app: Flask, user: Any) -> None:
    client = app.test_client()
    assert client.post("/session", json={"user": user}).status_code == 400
    assert client.get("/projects/1").location == "/"


def test_broken_json_is_answered_in_json(ada: FlaskClient) -> None:
    answer = ada.post("/projects/1/pages", data=b"{", content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"]


def test_a_page_of_another_project_is_not_found(app: Flask, ada: FlaskClient) -> None:
    assert ada.patch("/projects/1/pages/7", json={"title": "x"}).status_code == 404
    assert ada.get(f"/projects/{2**70}").status_code == 404


def test_the_page_holds_no_rows_and_no_names_of_others(ada: FlaskClient, grace: FlaskClient) -> None:
    html = ada.get("/projects/2").text
    assert "notebook</h1>" in html
    assert "Note G" not in html
    for path in ("/projects/1", "/projects/2"):
        html = grace.get(path).text
        assert "Project 2, not yours" in html or "Project 2</h1>" in html
        assert "notebook" not in html
        assert "Note G" not in html


def test_names_are_escaped(app: Flask, ada: FlaskClient) -> None:
    from examples.flask_demo.models import Project, User

    with app.app_context():
        db.session.get_one(Project, 1).name = "<script>alert(1)</script>"
        db.session.get_one(User, 1).name = '"><img src=x>'
        db.session.commit()
    html = ada.get("/projects/1").text + app.test_client().get("/").text
    assert "<script>alert" not in html
    assert "<img" not in html
    assert html.count("&lt;script&gt;alert(1)") == 2


def test_the_drawer_shows_the_running_code(ada: FlaskClient) -> None:
    html = ada.get("/projects/1").text
    assert "@realtime.channel(&#34;projects/{project_id}/pages&#34;, presence=Profile" in html
    assert "keeps: private_notes" in html


def test_the_page_of_the_frameworks_is_for_who_is_signed_in(app: Flask, ada: FlaskClient) -> None:
    assert app.test_client().get("/frameworks").location == "/"
    assert 'href="/frameworks"' in ada.get("/projects/1").text


def test_panels_that_were_not_bundled_say_why(ada: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "BUILT", tmp_path)
    html = ada.get("/frameworks").text
    assert html.count("This panel is missing.") == html.count("start the demo with “make demo”") == 3
    assert html.count('role="switch"') == 2
    assert re.search(r"\d+ lines<", html)
    (tmp_path / "missing.txt").write_text("npm error <code> ENETUNREACH")
    assert ada.get("/frameworks").text.count("npm error &lt;code&gt; ENETUNREACH") == 3


def test_panels_say_what_adapters_cost(ada: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "BUILT", tmp_path)
    (tmp_path / "sizes.json").write_text('{"react": {"bytes": 437, "total": 437}, "element": {"bytes": 400, "total": 900}}')
    (tmp_path / "react.js").touch()
    html = ada.get("/frameworks").text
    assert html.count("This panel is missing.") == 2
    assert re.search(r"\d+ lines · 437 bytes<", html)
    assert re.search(r"\d+ lines · 400 \+ 500 bytes<", html)


def test_what_a_page_may_load(app: Flask, ada: FlaskClient) -> None:
    answer = ada.get("/projects/1")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["connect-src"] == f"'self' http://localhost:{realtime.port} ws://localhost:{realtime.port}"
    nonce = policy["script-src"].rsplit("'nonce-")[1].rstrip("'")
    assert nonce
    assert f'<script type="importmap" nonce="{nonce}">' in answer.text
    assert answer.text.count("<script") == 2


def test_the_session_cookie_stays_on_this_site(app: Flask) -> None:
    cookie = app.test_client().post("/session", json={"user": 1}).headers["Set-Cookie"]
    assert "SameSite=Lax" in cookie
    assert "HttpOnly" in cookie


def test_other_names_for_this_machine_are_refused(app: Flask) -> None:
    assert app.test_client().get("/", headers={"Host": "rebound.example"}).status_code == 400


def test_what_a_page_missed_is_counted_in_the_log(app: Flask, ada: FlaskClient, grace: FlaskClient) -> None:
    positions = [
        ada.post(f"/projects/{project}/pages", json={"title": "New"}).headers["X-Realtime-Position"] for project in (1, 1, 2, 1)
    ]
    epoch, last = positions[-1].rsplit(".")

    def missed(after: str, until: str) -> Any:
        answer = grace.get("/projects/1/missed", query_string={"after": after, "until": until})
        return answer.json["missed"] if answer.status_code == 200 else answer.status_code

    # The third is of another channel.
    assert [missed(each, positions[-1]) for each in positions] == [2, 1, 1, 0]
    assert missed(positions[0], positions[1]) == 1
    # Nobody knows: the log is another one, or ends before that.
    assert missed("other.1", positions[-1]) is None
    assert missed("other.1", "other.2") is None
    assert missed(positions[0], f"{epoch}.{int(last) + 1}") is None
    assert missed(positions[0], "") == missed("x", positions[0]) == 400
    assert grace.get(f"/projects/2/missed?after={positions[0]}&until={positions[1]}").status_code == 403


def test_where_the_server_broadcasts_itself_nothing_can_be_killed(ada: FlaskClient) -> None:
    refused = ada.post("/projects/1/kill", json={})
    assert refused.status_code == 409
    assert "make demo" in refused.json["error"]
    assert 'id="kill"' not in ada.get("/projects/1").text


def test_a_taken_port_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"{port}.*Choose another port: make demo PORT="):
            listen(port)


def test_requests_of_tests_start_nothing(ada: FlaskClient) -> None:
    ada.get("/projects/1")
    assert not realtime.running


def test_a_second_start_keeps_rows_and_secret(app: Flask, ada: FlaskClient) -> None:
    ada.post("/projects/1/pages", json={"title": "Kept"})
    again = create_app(TESTING=True)
    assert again.config["SECRET_KEY"] == app.config["SECRET_KEY"]
    assert pages(again) == pages(app)
    assert pages(again)[-1] == ("Kept", "Ada")
    with again.app_context():
        assert db.session.scalar(select(func.count()).select_from(Page)) == 9
        db.engine.dispose()


def test_the_secret_is_for_its_owner_alone(app: Flask, tmp_path: Path) -> None:
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert len(app.config["SECRET_KEY"]) >= 32


def test_the_realtime_port_follows_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REALTIME_PORT", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        beside = port - 3765 if port - 3765 > 0 and port < 2**16 else port + 3765
        assert realtime_port(beside) not in (0, port)
    assert realtime_port(65535) == 61770
    monkeypatch.setenv("REALTIME_PORT", "4321")
    assert realtime_port(5000) == 4321
