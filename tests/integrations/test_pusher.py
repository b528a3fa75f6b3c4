"""The endpoints that sign, for Flask and as ASGI: what they answer, and what not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine

from sqla_realtime import Realtime
from sqla_realtime.errors import BadSetting
from sqla_realtime.hub.doors import Handshake
from sqla_realtime.integrations.pusher import BODY, Endpoint, PusherAuth
from sqla_realtime.protocol import pusher_signatures
from tests.support.pusher_site import Site
from tests.transports.pusher.test_socket import APP


@pytest.fixture
def site(realtime: Callable[..., Realtime], sqlite: Engine) -> Site:
    return Site(realtime(pusher=[APP]), sqlite)


def post(site: Site, path: str, user: str | None = None, token: str | None = None, **form: str) -> tuple[int, dict[str, Any]]:
    client = site.app.test_client()
    if user is not None:
        with client.session_transaction() as opened:
            opened["user_id"] = user
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = client.post(path, data=form, headers=headers)
    return answer.status_code, answer.get_json()


def test_a_signature_says_whose_it_is(site: Site) -> None:
    site.app.testing = True
    status, signed = post(site, "/pusher/auth", "7", socket_id="1.2", channel_name="private-members,1")
    assert (status, json.loads(signed["channel_data"])) == (200, {"user_id": "7"})
    text = pusher_signatures.admission("1.2", "private-members,1", signed["channel_data"])
    assert pusher_signatures.vouched(APP["key"], APP["secret"], text, signed["auth"])
    status, signed = post(site, "/pusher/user-auth", "7", socket_id="1.2")
    assert (status, json.loads(signed["user_data"])) == (200, {"id": "7", "user_info": {"name": "User 7"}})


@pytest.mark.parametrize(
    ("path", "user", "form", "status"),
    [
        ("auth", None, {"socket_id": "1.2", "channel_name": "private-members,1"}, 403),
        ("auth", None, {"socket_id": "1.2", "channel_name": "presence-lounge"}, 403),
        ("auth", "7", {"socket_id": "1.2", "channel_name": "private-nowhere"}, 403),
        ("auth", "7", {"socket_id": "1.2", "channel_name": "private-encrypted-members,1"}, 403),
        ("auth", "7", {"socket_id": "1.2", "channel_name": "#server-to-user-7"}, 403),
        ("auth", "7", {"socket_id": "1.2", "channel_name": "a/b"}, 400),
        ("auth", "7", {"socket_id": "1.2:x", "channel_name": "private-members,1"}, 400),
        ("auth", "7", {"channel_name": "private-members,1"}, 400),
        ("auth", "x" * 129, {"socket_id": "1.2", "channel_name": "presence-lounge"}, 403),
        ("user-auth", None, {"socket_id": "1.2"}, 403),
        ("user-auth", "7", {"socket_id": "x"}, 400),
        ("user-auth", "7", {"socket_id": "1.2", "padding": "x" * BODY}, 400),
    ],
)
def test_what_is_not_signed(site: Site, path: str, user: str | None, form: dict[str, str], status: int) -> None:
    site.app.testing = True
    answer, body = post(site, f"/pusher/{path}", user, **form)
    assert (answer, set(body)) == (status, {"error"})


def test_a_token_does_as_well_as_a_cookie(realtime: Callable[..., Realtime], sqlite: Engine) -> None:
    site = Site(realtime(pusher=[APP], secret="s" * 32), sqlite)
    site.app.testing = True
    form = {"socket_id": "1.2", "channel_name": "private-members,1"}
    status, signed = post(site, "/pusher/auth", token=site.realtime.token("7", 60), **form)
    assert status == 200
    assert 0 < json.loads(signed["channel_data"])["expires"] - time.time() < 61, "what is signed ends with the token"
    assert post(site, "/pusher/auth", token="nonsense", **form)[0] == 403  # noqa: S106


def test_without_an_application_there_is_nothing_to_sign_for(realtime: Callable[..., Realtime]) -> None:
    with pytest.raises(BadSetting, match="no application to sign for"):
        asyncio.run(Endpoint(realtime()).answer("auth", Handshake(), {}))
    with pytest.raises(BadSetting):
        asyncio.run(Endpoint(realtime(pusher=[APP]), "other").answer("auth", Handshake(), {}))


async def call(app: PusherAuth, path: str, body: bytes, method: str = "POST", token: str = "") -> tuple[int, Any]:
    sent: list[Any] = []
    pieces = [body[:5], body[5:]]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
    await app({"type": "http", "method": method, "path": path, "headers": headers, "client": None}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_asgi(realtime: Callable[..., Realtime], sqlite: Engine) -> None:
    made = Site(realtime(pusher=[APP], secret="s" * 32), sqlite).realtime
    app, token = PusherAuth(made), made.token("7")
    form = urlencode({"socket_id": "1.2", "channel_name": "presence-lounge"}).encode()

    async def scene() -> None:
        status, signed = await call(app, "/pusher/auth", form, token=token)
        data = json.loads(signed["channel_data"])
        assert (status, data["user_id"], data["user_info"]) == (200, "7", None)
        assert (await call(app, "/pusher/user-auth", form, token=token))[0] == 200
        assert (await call(app, "/pusher/auth", form))[0] == 403
        assert (await call(app, "/pusher/auth", form + b"&x=" + b"x" * BODY, token=token))[0] == 400
        assert (await call(app, "/pusher/auth", form, "GET"))[0] == 404
        assert (await call(app, "/pusher/other", form))[0] == 404

    asyncio.run(scene())
