"""Tokens: what holds and what does not, by the function itself and over the wire; none of them ever in the log."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from sqla_realtime import ConfigurationError, Realtime
from sqla_realtime.hub.doors import Refused
from sqla_realtime.server.tokens import sign, verify
from tests.support.peer import Peer
from tests.support.scene import PAGES, SECRET, Ear, Scene, live

OTHER = "quite another secret, of thirty-two bytes"
NOW = int(time.time())
GOOD: dict[str, Any] = {"sub": "7", "exp": NOW + 3600}


def encode(payload: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(payload, secret, algorithm=algorithm, headers=header or None)


def by_hand(header: str, payload: str | None = None, signature: str = "") -> str:
    """A token of any text at all."""
    parts = (header, json.dumps(GOOD) if payload is None else payload)
    return ".".join([base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts] + [signature])


def signed_by_hand(payload: str) -> str:
    """Any payload under a signature that holds."""
    return jwt.PyJWS().encode(payload.replace("LATER", str(NOW + 3600)).encode(), SECRET, algorithm="HS256")


FORGED = {
    "empty": "",
    "no token": "nonsense",
    "one dot": "a.b",
    "dots": "...",
    "no base64": "!.!.!",
    "another secret": encode(GOOD, OTHER),
    "no signature": encode(GOOD).rpartition(".")[0] + ".",
    "a changed payload": ".".join([*encode(GOOD).split(".")[:1], encode({**GOOD, "sub": "8"}).split(".")[1], "x"]),
    "alg none": by_hand('{"alg": "none", "typ": "JWT"}'),
    "alg None": by_hand('{"alg": "None"}'),
    "alg null": by_hand('{"alg": null}'),
    "no alg": by_hand("{}"),
    "alg list": by_hand('{"alg": ["HS256"]}'),
    "alg number": by_hand('{"alg": 1}'),
    "header list": by_hand("[]"),
    "header deep": by_hand("[" * 5000),
    "header deep object": by_hand('{"a":' * 1100),
    "header long number": by_hand('{"alg": ' + "9" * 5000 + "}"),
    "header surrogate": by_hand('{"alg": "\\ud800"}'),
    "another algorithm": encode(GOOD, SECRET + SECRET, "HS512"),
    "unknown algorithm": by_hand('{"alg": "XS256"}'),
    "asymmetric algorithm": by_hand('{"alg": "RS256"}'),
    "kid number": by_hand('{"alg": "HS256", "kid": 1}'),
    "critical": by_hand('{"alg": "HS256", "crit": ["x"], "x": 1}'),
    "detached": by_hand('{"alg": "HS256", "b64": false, "crit": ["b64"]}'),
    "payload deep": by_hand('{"alg": "HS256"}', "[" * 4000),
}
UNHELD = {
    "no exp": encode({"sub": "7"}),
    "no sub": encode({"exp": NOW + 3600}),
    "nothing": encode({}),
    "exp text": encode({**GOOD, "exp": "soon"}),
    "exp list": signed_by_hand('{"sub": "7", "exp": [1]}'),
    "exp null": signed_by_hand('{"sub": "7", "exp": null}'),
    "exp infinite": signed_by_hand('{"sub": "7", "exp": 1e999}'),
    "exp NaN": signed_by_hand('{"sub": "7", "exp": NaN}'),
    "exp huge": signed_by_hand('{"sub": "7", "exp": 1' + "0" * 400 + "}"),
    "sub number": signed_by_hand('{"sub": 7, "exp": LATER}'),
    "sub null": signed_by_hand('{"sub": null, "exp": LATER}'),
    "sub object": signed_by_hand('{"sub": {}, "exp": LATER}'),
    "not yet": encode({**GOOD, "nbf": NOW + 600}),
    "from the future": encode({**GOOD, "iat": NOW + 600}),
    "for another audience": encode({**GOOD, "aud": "billing"}),
    "claims list": signed_by_hand("[]"),
    "claims deep": signed_by_hand("[" * 4000),
    "claims no JSON": signed_by_hand("{"),
}


def code(secret: str | None, token: str, algorithm: str = "HS256") -> str:
    with pytest.raises(Refused) as refused:
        verify(secret, algorithm, token)
    # One sentence for all of them: which of the reasons it was is told in development alone.
    if refused.value.code == "bad-token":
        assert refused.value.message == "This token does not hold."
    assert token not in repr(refused.value) or len(token) < 2
    return str(refused.value.code)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_what_was_signed_holds(algorithm: str) -> None:
    before = time.time()
    secret = SECRET + SECRET
    identity, expires = verify(secret, algorithm, sign(secret, algorithm, 7, 3600, {"role": "editor"}))
    assert identity.id == "7"
    assert identity.claims["role"] == "editor"
    assert before + 3599 <= expires <= time.time() + 3600


def test_a_secret_is_as_long_as_its_algorithm_needs(realtime: Callable[..., Realtime]) -> None:
    for algorithm, least in (("HS256", 32), ("HS384", 48), ("HS512", 64)):
        assert realtime(algorithm=algorithm, secret="x" * least).token(7)
        with pytest.raises(ConfigurationError, match="bytes"):
            realtime(algorithm=algorithm, secret="x" * (least - 1))


def test_claims_do_not_make_another_user() -> None:
    identity, expires = verify(SECRET, "HS256", sign(SECRET, "HS256", 7, 60, {"sub": "1", "exp": NOW + 10**6}))
    assert identity.id == "7"
    assert expires < NOW + 1000


@pytest.mark.parametrize("name", FORGED)
def test_forged(name: str) -> None:
    assert code(SECRET, FORGED[name]) == "bad-token"


@pytest.mark.parametrize("name", UNHELD)
def test_signed_and_yet_not_to_be_held(name: str) -> None:
    assert code(SECRET, UNHELD[name]) == "bad-token"


def test_expired() -> None:
    assert code(SECRET, sign(SECRET, "HS256", 7, -1, {})) == "token-expired"
    # Expired and forged is forged: nobody learns from us what their guess was worth.
    assert code(SECRET, sign(OTHER, "HS256", 7, -1, {})) == "bad-token"


def test_without_a_secret_no_token_holds() -> None:
    for token in (encode(GOOD), encode(GOOD, "x" * 32), FORGED["alg none"]):
        assert code(None, token) == "bad-token"


@live
async def test_each_is_answered_and_the_connection_stays(scene: Callable[..., Scene], ear: Ear) -> None:
    made = scene(secret=SECRET, development=False, max_errors=100)
    expired = sign(SECRET, "HS256", 7, -1, {})
    ear.secrets += [token for token in [*FORGED.values(), *UNHELD.values(), expired] if len(token) > 20]
    async with made.canary(), Peer(made.port) as peer:
        answers = []
        for token in [*FORGED.values(), *UNHELD.values()]:
            answers.append(await peer.hello(token))
            made.write()
        assert answers == [{"type": "error", "code": "bad-token", "message": "This token does not hold."}] * len(answers)
        assert (await peer.hello(expired))["code"] == "token-expired"
        # Whoever is not admitted is not half admitted.
        await peer.say({"type": "subscribe", "id": 1, "channels": [PAGES]})
        assert (await peer.hear())["code"] == "hello-required"
        good = made.realtime.token(7)
        ear.secrets.append(good)
        assert (await peer.hello(good))["type"] == "hello"
        assert (await peer.subscribe("members/1"))["type"] == "subscribed"


@live
async def test_an_oversized_token_is_no_token(scene: Callable[..., Scene], ear: Ear) -> None:
    made = scene(secret=SECRET)
    large = made.realtime.token(7, filling="x" * 7000)
    ear.secrets.append(large[:100])
    async with made.canary(), Peer(made.port) as peer:
        assert len(large) > 8192
        assert (await peer.hello(large))["code"] == "invalid-field"
        async with Peer(made.port) as other:
            await other.say(json.dumps({"type": "hello", "token": large + large}))
            assert (await other.closed())[0] == 1009
        assert (await peer.hello())["type"] == "hello"


@live
async def test_a_guesser_is_closed(scene: Callable[..., Scene]) -> None:
    made = scene(secret=SECRET)
    async with made.canary(), Peer(made.port) as peer:
        for _ in range(10):
            assert (await peer.hello(FORGED["another secret"]))["code"] == "bad-token"
        assert await peer.closed() == (4400, "bad-messages")


@live
async def test_a_connection_ends_with_its_token(scene: Callable[..., Scene]) -> None:
    made = scene(secret=SECRET, hello_timeout=0.5)
    async with made.canary(), Peer(made.port) as peer:
        token = encode({"sub": "7", "exp": int(time.time() + 1.2)})
        assert (await peer.hello(token))["type"] == "hello"
        assert (await peer.subscribe("members/1"))["type"] == "subscribed"
        assert (await peer.until(lambda heard: heard.get("type") == "needs_auth"))["reason"] == "token-expired"
        assert await peer.closed() == (4501, "token-expired")
        assert peer.log[-1]["type"] == "bye"
