"""docs/limits.md against the settings and the codes: every limit is there, with its default and codes that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.settings import Settings

PAGE = (Path(__file__).parents[1] / "docs" / "limits.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
# What sets no limit to clients, or is told on another page.
OTHERS = {
    "broker", "host", "port", "base", "url", "embedded", "secret", "algorithm", "allowed_origins", "allowed_hosts",
    "development", "ping_interval", "history_count", "history_bytes", "history_age", "statement_rows", "transaction_rows",
    "commit_patience", "log_url", "log_timeout", "presence_lease", "pusher",
}  # fmt: skip


def test_every_limit_is_there_with_its_default() -> None:
    written = {}
    for names, defaults, _ in ROWS:
        pairs = zip(re.findall(r"`(\w+)`", names), re.findall(r"`([^`]*)`", defaults), strict=True)
        written |= {name: eval(default, {}) for name, default in pairs}  # noqa: S307 - our own page
    assert written == {name: field.default for name, field in Settings.model_fields.items() if name not in OTHERS}


@pytest.mark.parametrize("beyond", [row[2] for row in ROWS])
def test_codes_are_those_of_the_protocol(beyond: str) -> None:
    reasons = {code.value: code.reason for code in CloseCode}
    for code, reason in re.findall(r"\b(4\d{3}) `([a-z-]+)`", beyond):
        assert reasons[int(code)] == reason
    known = {*reasons.values(), *(code.value for code in ErrorCode)}
    assert set(re.findall(r"`([a-z]+-[a-z-]+)`", beyond)) <= known


def test_every_code_of_a_limit_is_on_the_page() -> None:
    limits = {name for name in [*CloseCode.__members__, *ErrorCode.__members__] if name.startswith("TOO_")}
    assert {name.lower().replace("_", "-") for name in limits} <= set(re.findall(r"`([a-z-]+)`", PAGE))
