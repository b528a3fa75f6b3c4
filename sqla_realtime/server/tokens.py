"""Signed tokens that say who a client is: JWT (RFC 7519) with one algorithm, fixed by the configuration."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from sqla_realtime.errors import BadSetting
from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codes import ErrorCode


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is by its token or its session cookie, before the application has looked it up.

    ``id`` is the token's ``sub``, or the user id that the session holds; ``claims`` is everything in it.
    """

    id: str
    claims: Mapping[str, Any]


def sign(secret: str | None, algorithm: str, user_id: object, expires_in: float, claims: Mapping[str, Any]) -> str:
    """A token for a user, good for so many seconds. Raises BadSetting where there is nothing to sign with."""
    if secret is None:
        reason = "tokens can't be signed without one"
        raise BadSetting(name="secret", source="settings", reason=reason, remedy="Set REALTIME_SECRET.")
    payload = {**claims, "sub": str(user_id), "exp": int(time.time() + expires_in)}
    return jwt.encode(payload, secret, algorithm=algorithm)


def verify(secret: str | None, algorithm: str, token: str) -> tuple[Identity, float]:
    """Who a token says its bearer is, and when it ends (seconds since the epoch).

    The algorithm is never the token's choice, and a token without an end is none (RFC 8725 3.1). Raises Refused.
    """
    if secret is None:
        raise Refused(ErrorCode.BAD_TOKEN, "This token does not hold.", "Set REALTIME_SECRET to check tokens.")
    try:
        claims = jwt.decode(token, secret, algorithms=[algorithm], options={"require": ["exp", "sub"]})
        if not isinstance(claims["sub"], str):
            raise jwt.InvalidTokenError  # releases of PyJWT differ in what they let through
        return Identity(claims["sub"], claims), float(claims["exp"])
    except jwt.ExpiredSignatureError:
        raise Refused(ErrorCode.TOKEN_EXPIRED, "This token has expired.", "Fetch a fresh one.") from None
    except Exception as error:  # not PyJWTError alone: a number too large, a text nested too deeply
        raise Refused(ErrorCode.BAD_TOKEN, "This token does not hold.", type(error).__name__) from None
