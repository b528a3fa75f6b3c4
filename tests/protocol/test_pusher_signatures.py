"""Signatures against the examples of Pusher's own documentation, and everything that one must not hold for."""

from __future__ import annotations

import hashlib

import pytest

from sqla_realtime.protocol.pusher_signatures import SKEW, admission, refusal, request_text, sign, user, vouched

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
SOCKET = "1234.1234"


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (admission(SOCKET, "private-foobar", None), "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        (
            admission(SOCKET, "presence-foobar", '{"user_id":10,"user_info":{"name":"Mr. Channels"}}'),
            "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        ),
        # What the documentation prints beside the one above is this one's.
        (
            admission(SOCKET, "presence-foobar", '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}'),
            "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
        ),
        (user(SOCKET, '{"id":"12345"}'), "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"),
    ],
)
def test_signatures_of_the_documentation(text: str, signature: str) -> None:
    assert sign(SECRET, text) == signature
    assert vouched(KEY, SECRET, text, f"{KEY}:{signature}")
    for auth in ("", signature, f"{KEY}:", f"x:{signature}", f"{KEY}:{signature[:-1]}x", f"{KEY}:{signature.upper()}", "é:é"):
        assert not vouched(KEY, SECRET, text, auth), auth
    for other in (text.replace("1234.", "1235."), text + "x", text.replace(":", ":x", 1)):
        assert not vouched(KEY, SECRET, other, f"{KEY}:{signature}"), other


def test_a_user() -> None:
    assert user(SOCKET, '{"id":"7"}') == '1234.1234::user::{"id":"7"}'


BODY = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
QUERY = {
    "auth_key": KEY,
    "auth_timestamp": "1353088179",
    "auth_version": "1.0",
    "body_md5": "ec365a775a4cd0599faeb73354201b6f",
    "auth_signature": "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
}
NOW = 1353088179.0


def refused(now: float = NOW, body: bytes = BODY, path: str = "/apps/3/events", **changed: str) -> str | None:
    query = QUERY | changed
    return refusal(KEY, SECRET, request_text("POST", path, query.items()), query, body=body, now=now)


def test_the_request_of_the_documentation() -> None:
    assert hashlib.md5(BODY, usedforsecurity=False).hexdigest() == QUERY["body_md5"]
    assert refused() is None
    assert refused(NOW + SKEW) is None
    assert refused(NOW - SKEW) is None


def test_what_is_tampered_with_is_refused() -> None:
    assert refused(path="/apps/4/events")
    assert refused(body=BODY + b" ")
    assert refused(body=b"")
    assert refused(info="user_count")
    assert refused(auth_key="other")
    assert refused(auth_version="1.1")
    assert refused(auth_signature="")
    assert refused(auth_signature="é")
    assert refused(auth_timestamp="1353088180")


@pytest.mark.parametrize("off", [SKEW + 1, -SKEW - 1])
def test_a_clock_that_is_too_far_off(off: float) -> None:
    found = refused(NOW + off)
    assert found is not None
    assert "auth_timestamp" in found


@pytest.mark.parametrize("moment", ["", "-1", "1e9", "٣", "9" * 400])
def test_what_is_no_time(moment: str) -> None:
    query = {name: value for name, value in QUERY.items() if name != "auth_signature"} | {"auth_timestamp": moment}
    text = request_text("POST", "/apps/3/events", query.items())
    assert refusal(KEY, SECRET, text, query | {"auth_signature": sign(SECRET, text)}, body=BODY, now=NOW)


def test_parameters_are_signed_by_lower_case_name() -> None:
    query = [("b", "2"), ("A", "1 &"), ("auth_signature", "x")]
    assert request_text("GET", "/apps/1/channels", query) == "GET\n/apps/1/channels\na=1 &&b=2"
