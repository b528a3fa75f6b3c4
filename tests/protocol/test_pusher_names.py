"""Names of channels, both ways: what each kind of prefix says, and that no two names mean the same channel."""

from __future__ import annotations

import pytest

from sqla_realtime.protocol.pusher_names import Name, parse, spell
from sqla_realtime.schema.channels import NAME


@pytest.mark.parametrize(
    ("wire", "channel", "kind", "cache"),
    [
        ("Page", "Page", "public", False),
        ("projects,5,pages", "projects/5/pages", "public", False),
        ("private-projects,5,pages", "projects/5/pages", "private", False),
        ("presence-a;b=2F@c", "a:b%2F~c", "presence", False),
        ("private-encrypted-x", "x", "encrypted", False),
        ("cache-x", "x", "public", True),
        ("private-cache-x", "x", "private", True),
        ("private-encrypted-cache-x", "x", "encrypted", True),
        ("presence-cache-x", "x", "presence", True),
        ("#server-to-user-7", "7", "user", False),
        ("#server-to-user-Mr. X", "Mr. X", "user", False),
    ],
)
def test_a_name_says_what_it_is(wire: str, channel: str, kind: str, cache: bool) -> None:
    assert parse(wire) == Name(wire, channel, kind, cache)


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "/observer",
        "a:b",
        "a~b",
        "a%b",
        "a b",
        "é",
        "private-",
        "cache-",
        "#server-to-user-",
        "#x",
        "x\n",
        "x" * 201,
        "#server-to-user-" + "x" * 129,
        "#server-to-user-\ud800",
        "#server-to-user-a\nb",
    ],
)
def test_what_is_no_name(wire: str) -> None:
    assert parse(wire) is None


@pytest.mark.parametrize("channel", ["projects/5/pages", "a:b~c%20d", "x.y-z_0", "/observer"])
@pytest.mark.parametrize("public", [True, False])
def test_ours_come_back(channel: str, public: bool) -> None:
    assert NAME.fullmatch(channel)
    wire = spell(channel, public=public)
    found = parse(wire)
    assert found is not None
    assert (found.channel, found.kind) == (channel, "public" if public else "private")
