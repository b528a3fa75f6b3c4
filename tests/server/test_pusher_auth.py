"""What is signed for whom; the endpoints' tests have the rest."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from sqla_realtime.hub.doors import Guest, Handshake, Refused
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry
from sqla_realtime.server.doors import Application
from sqla_realtime.server.pusher_auth import Authoriser, Watch
from sqla_realtime.server.tokens import sign
from sqla_realtime.settings import PusherApp, Settings
from tests.support.models import Account, AccountOut, Page, PageOut

SECRET = "s" * 32
APP = PusherApp(key="key", secret="a secret of the application", id="1")  # noqa: S106


def authoriser(registry: Registry, watch: Watch | None = None) -> Authoriser:
    application = Application(identify=lambda identity: None if identity.id == "gone" else Guest(identity.id))
    settings = Settings(secret=SECRET)
    return Authoriser(registry, settings, application, APP, info=lambda user: {"known": user is not None}, watch=watch)


def token(user: str) -> str:
    return sign(SECRET, "HS256", user, 60, {})


def test_the_rule_is_asked_with_the_applications_user() -> None:
    registry = Registry()
    asked = []

    async def rule(user: object, room: str) -> bool:
        asked.append((user, room))
        return user is not None

    registry.rule("rooms/{room}", rule)
    auth = authoriser(registry)
    signed = asyncio.run(auth.channel(Handshake(), token("7"), "1.2", "presence-rooms,a=2Fb"))
    data = json.loads(signed["channel_data"])
    assert data.pop("expires") > time.time()
    assert data == {"user_id": "7", "user_info": {"known": True}}
    with pytest.raises(Refused):
        asyncio.run(auth.channel(Handshake(), token("gone"), "1.2", "private-rooms,a"))
    assert asked == [(Guest("7"), "a/b"), (None, "a")]


def test_a_rule_that_lets_anybody_in_signs_for_nobody_too() -> None:
    registry = Registry()
    registry.rule("open", lambda user: True)
    auth = authoriser(registry)
    assert set(asyncio.run(auth.channel(Handshake(), None, "1.2", "private-open"))) == {"auth"}
    with pytest.raises(Refused):
        asyncio.run(auth.user(Handshake(), None, "1.2"))


def test_an_alias_is_signed_for_whoever_may_join_all_that_it_stands_for() -> None:
    registry, allowed = Registry(), {"pages": True, "accounts": True}
    for model, schema, channel in ((Page, PageOut, "pages"), (Account, AccountOut, "accounts")):
        registry.publish(Publication(model, schema, channel, alias="observer"))
        registry.rule(channel, lambda user, channel=channel: allowed[channel])
    auth = authoriser(registry)
    assert asyncio.run(auth.channel(Handshake(), token("7"), "1.2", "private-observer"))
    for channel in allowed:
        allowed[channel] = False
        with pytest.raises(Refused):
            asyncio.run(auth.channel(Handshake(), token("7"), "1.2", "private-observer"))
        allowed[channel] = True


def test_whom_a_user_watches_is_signed_where_the_application_says_it() -> None:
    watching = authoriser(Registry(), lambda user: (number for number in (8, 9) if user == Guest("7")))
    for auth, watched in ((authoriser(Registry()), None), (watching, ["8", "9"])):
        signed = asyncio.run(auth.user(Handshake(), token("7"), "1.2"))
        assert json.loads(signed["user_data"]).get("watchlist") == watched
