"""Whose word is taken for where a client is, and what is counted together."""

from __future__ import annotations

import pytest

from sqla_realtime.transports.address import Proxies

NGINX = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("8.8.8.8", None, "8.8.8.8"),
        ("8.8.8.8", "1.1.1.1", "8.8.8.8"),  # nobody has vouched for it
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("127.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # the client has made up the first
        ("127.0.0.1", "6.6.6.6, 1.1.1.1,10.2.3.4", "1.1.1.1"),  # two proxies
        ("127.0.0.1", "10.0.0.9, 10.2.3.4", "10.0.0.9"),  # a client that is trusted itself
        ("127.0.0.1", "1.1.1.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "1.1.1.1, unknown, 10.2.3.4", "10.2.3.4"),
        ("127.0.0.1", "1.1.1.1:80", "127.0.0.1"),
        ("127.0.0.1", "x" * 10_000 + "," * 1000, "127.0.0.1"),
        ("::ffff:127.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("2001:db8::1", "2606:4700::1", "2606:4700::1"),
        ("0.0.0.0", None, "0.0.0.0"),  # noqa: S104 - what Tornado says of a Unix socket
        ("", "1.1.1.1", ""),
    ],
)
def test_a_proxy_is_believed_where_it_is_named(peer: str, forwarded: str | None, client: str) -> None:
    assert Proxies(NGINX).client(peer, forwarded) == client


def test_nobody_is_believed_by_default() -> None:
    assert Proxies(()).client("127.0.0.1", "1.1.1.1") == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "client", "group"),
    [
        ("8.8.8.8", "8.8.8.8", "8.8.8.8"),
        ("127.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("127.0.0.1", "10.0.0.9", "10.0.0.9"),  # a trusted proxy has told it
        ("127.0.0.1", "127.0.0.1", None),
        ("::1", "::1", None),
        ("192.168.1.4", "192.168.1.4", None),
        ("::ffff:192.168.1.4", "192.168.1.4", None),
        ("2606:4700:1:2:3::4", "2606:4700:1:2:3::4", "2606:4700:1:2::/64"),
        ("0.0.0.0", "0.0.0.0", None),  # noqa: S104
        ("", "", None),
    ],
)
def test_what_is_counted_together(peer: str, client: str, group: str | None) -> None:
    assert Proxies(()).group(peer, client) == group
