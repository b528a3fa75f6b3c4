"""Close codes as its clients understand them: whatever we close with, they come back, but where it is their fault."""

from __future__ import annotations

import re
from pathlib import Path

from sqla_realtime.protocol.codes import CloseCode, StandardCode
from sqla_realtime.protocol.pusher_codes import PusherCode, closes


def test_each_of_ours_is_one_of_theirs() -> None:
    told = {code: closes(code) for code in CloseCode}
    assert set(told.values()) <= set(PusherCode)
    for code, theirs in told.items():
        # From 4100 to 4299 its library connects again by itself.
        assert (4100 <= theirs < 4300) == (code >= 4500), code
    # A server that is started again is not there at once.
    assert told[CloseCode.RESTARTING] == 4101
    assert closes(StandardCode.PING_TIMED_OUT) == 4201


def test_each_has_its_line_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pusher.md").read_text("utf-8")
    rows = "".join(line for line in page.splitlines() if line.startswith("| 4"))
    told = {int(code): reason for code, reason in re.findall(r"(4\d{3}) `([a-z-]+)`", rows)}
    spoken = {PusherCode.EVENT_REFUSED, PusherCode.TOO_MANY_WATCHED}
    assert told == {int(code): code.reason for code in PusherCode if code not in spoken}, "with these connections are closed"
    assert all(f" {int(code)} " in page for code in spoken)


def test_theirs_are_told_as_they_are() -> None:
    assert closes(PusherCode.UNKNOWN_APP) is PusherCode.UNKNOWN_APP
    assert PusherCode.UNKNOWN_APP.reason == "unknown-app"
