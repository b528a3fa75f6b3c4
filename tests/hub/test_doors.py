"""What the hub asks of the world outside: promises without defaults, and values that keep what is private out of logs."""

from __future__ import annotations

import inspect

import pytest

from sqla_realtime.hub.doors import Archive, Doorkeeper, Guest, Handshake, Refused
from sqla_realtime.protocol.codes import ErrorCode


@pytest.mark.parametrize(
    ("seam", "methods"), [(Doorkeeper, {"identify", "review", "find", "admit", "profile", "event"}), (Archive, {"rows"})]
)
def test_a_door_must_be_built_whole(seam: type, methods: set[str]) -> None:
    assert seam.__abstractmethods__ == methods  # type: ignore[attr-defined]
    assert all(inspect.getdoc(getattr(seam, name)) for name in methods)
    with pytest.raises(TypeError, match="abstract"):
        seam()


def test_cookies_stay_out_of_logs() -> None:
    handshake = Handshake({"cookie": "session=secret"}, "192.0.2.1")
    assert "secret" not in repr(handshake)
    assert "192.0.2.1" in repr(handshake)


def test_somebody_unknown_is_nobody_for_ever() -> None:
    assert Guest() == Guest(user=None, expires=None)


def test_a_refusal_has_a_code_and_a_message() -> None:
    refused = Refused(ErrorCode.FORBIDDEN, "not for you")
    assert (refused.code, refused.message, refused.fix, str(refused)) == ("forbidden", "not for you", None, "not for you")


def test_by_which_id_others_know_a_guest() -> None:
    assert Guest("ann", id="1").member == "1"
    assert Guest("ann").member is Guest(None, id="1").member is Guest().member is None
