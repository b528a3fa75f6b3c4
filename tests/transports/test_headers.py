"""Headers kept as one string read like the dictionary that they came in, but for those of the handshake."""

from __future__ import annotations

import sys

import pytest

from sqla_realtime.transports.headers import Kept

BROWSER = {
    "host": "app.example:8765",
    "connection": "keep-alive, Upgrade",
    "pragma": "no-cache",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "upgrade": "websocket",
    "origin": "https://app.example",
    "sec-websocket-version": "13",
    "cookie": "session=a:b; name=\xe9\xff; empty=",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "authorization": "Bearer x.y.z",
    "x-empty": "",
}
USEFUL = {name for name in BROWSER if not name.startswith(("connection", "upgrade", "sec-websocket"))}


def test_what_is_of_use_is_kept() -> None:
    kept = Kept(BROWSER)
    assert dict(kept) == {name: BROWSER[name] for name in USEFUL}
    assert len(kept) == len(USEFUL)
    assert kept["cookie"] == BROWSER["cookie"]
    assert kept.get("sec-websocket-key") is None
    assert "cookie" in kept
    assert "accept" not in kept
    with pytest.raises(KeyError):
        kept["accept"]


def test_nothing_is_nothing() -> None:
    assert dict(Kept({})) == {}
    assert dict(Kept({"upgrade": "websocket"})) == {}


def test_it_is_smaller() -> None:
    kept = Kept(BROWSER)
    assert not hasattr(kept, "__dict__")
    assert sys.getsizeof(kept) + sys.getsizeof(kept._text) < sys.getsizeof(BROWSER) + sum(map(sys.getsizeof, BROWSER.values()))


def test_it_does_not_show_a_cookie() -> None:
    assert "session" not in repr(Kept(BROWSER))
