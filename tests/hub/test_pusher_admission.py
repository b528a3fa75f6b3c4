"""Who may be in a channel of Pusher's protocol by which name, and what of ours comes by it."""

from __future__ import annotations

import pytest

from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.pusher_admission import Admission, admit
from sqla_realtime.hub.pusher_person import Person
from sqla_realtime.protocol import pusher_signatures
from sqla_realtime.protocol.pusher_messages import Join
from tests.hub.fakes import ScriptedDoorkeeper
from tests.hub.pusher_stage import KEY, SECRET, FakeApp

SOCKET = "1.2"


def ask(channel: str, data: str | None = None, *, user: str | None = None, signed: bool = True) -> Admission:
    text = pusher_signatures.admission(SOCKET, channel, data)
    auth = f"{KEY}:{pusher_signatures.sign(SECRET if signed else 'x', text)}"
    person = None if user is None else Person(user)
    return admit(ScriptedDoorkeeper(), FakeApp(), SOCKET, person, Join(channel, auth, data))


@pytest.mark.parametrize(
    ("channel", "channels", "rows", "alias"),
    [
        ("open,1", {"open/1": "open/{x}"}, {"open/1": "open/{x}"}, None),
        ("private-ruled,1", {"ruled/1": "ruled/{x}"}, {"ruled/1": "ruled/{x}"}, None),
        ("private-room,1", {"room/1": "room/{x}"}, {}, None),
        ("private-none,1", {"none/1": ""}, {}, None),
        ("private-encrypted-ruled,1", {"ruled/1": "ruled/{x}"}, {}, None),
        ("alias,open1-open2", {"open1": "open1/{x}", "open2": "open2/{x}"}, None, "alias/open1-open2"),
        ("private-alias,open1-ruled", {"open1": "open1/{x}", "ruled": "ruled/{x}"}, None, "alias/open1-ruled"),
        ("private-encrypted-alias,ruled", {"ruled": "ruled/{x}"}, {}, "alias/ruled"),
    ],
)
def test_what_a_name_stands_for(channel: str, channels: dict[str, str], rows: dict[str, str] | None, alias: str | None) -> None:
    found = ask(channel)
    assert (found.name.wire, found.channels, found.alias) == (channel, channels, alias)
    assert found.rows == (channels if rows is None else rows)


@pytest.mark.parametrize(
    "channel",
    [
        "", "ruled,1", "none,1", "bare,1", "private-bare,1", "presence-ruled,1", "#server-to-user-7",
        # An alias is not for whom one of its channels is not for.
        "alias,open1-ruled", "alias,open1-none", "private-alias,ruled-bare",
    ],
)  # fmt: skip
def test_whatever_else_is_refused_alike(channel: str) -> None:
    with pytest.raises(Refused, match="There is no such channel, or it is not for you"):
        ask(channel)


@pytest.mark.parametrize("channel", ["private-ruled,1", "private-none,1", "private-alias,open1-ruled", "presence-ruled,1"])
def test_a_signature_has_to_hold(channel: str) -> None:
    assert ask(channel, '{"user_id": "7"}').person == Person("7")
    with pytest.raises(Refused):
        ask(channel, '{"user_id": "7"}', signed=False)


def test_a_users_own_channel_is_its_own() -> None:
    assert ask("#server-to-user-7", user="7") == Admission(ask("#server-to-user-7", user="7").name, Person("7"), {}, {})
    with pytest.raises(Refused):
        ask("#server-to-user-8", user="7")
