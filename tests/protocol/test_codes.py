"""The wire's constants: classes of close codes, names, and that JavaScript and PROTOCOL.md have the very same."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

import sqla_realtime
from sqla_realtime.protocol.codes import FINAL_STANDARD, SUBPROTOCOL, CloseCode, ErrorCode, javascript

PACKAGE = Path(sqla_realtime.__file__).parent


@pytest.fixture(scope="module")
def protocol() -> str:
    return (Path(__file__).parents[2] / "PROTOCOL.md").read_text("utf-8")


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = takewhile(lambda line: line.startswith("|"), section[section.index("\n| ") + 1 :].splitlines())
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][2:]


def test_the_javascript_twin_is_what_the_module_prints() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "sqla_realtime.protocol.codes"], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    ).stdout
    assert printed == javascript()
    assert (PACKAGE / "client" / "codes.js").read_text("utf-8") == printed, (
        "run: python -m sqla_realtime.protocol.codes > sqla_realtime/client/codes.js"
    )


def test_the_twin_has_the_constants() -> None:
    assert f'export const SUBPROTOCOL = "{SUBPROTOCOL}"' in javascript()
    assert all(str(code) in javascript() for code in FINAL_STANDARD)


def test_close_codes_say_by_their_hundred_whether_to_come_back() -> None:
    assert {code for code in CloseCode if code < 4500} == {CloseCode.BAD_MESSAGES}
    assert all(4400 <= code < 4600 for code in CloseCode)


def test_close_codes_and_reasons_are_those_of_the_page(protocol: str) -> None:
    written = {int(code): (name.strip("`"), kind) for code, name, kind in table(protocol, "Close codes")}
    assert {code: name for code, (name, _) in written.items()} == {code.value: code.reason for code in CloseCode}
    assert all(kind.startswith("come back" if code >= 4500 else "do not") for code, (_, kind) in written.items())


def test_error_codes_are_those_of_the_page(protocol: str) -> None:
    written = [name for cells in table(protocol, "Error codes") for name in re.findall(r"`([a-z-]+)`", cells[0])]
    assert written == [code.value for code in ErrorCode]


def test_standard_codes_are_those_of_the_page(protocol: str) -> None:
    sentence = protocol.split("The protocol's own ")[1].split(" mean do not")[0]
    assert tuple(map(int, re.findall(r"\d+", sentence))) == FINAL_STANDARD


def test_the_subprotocol_is_the_version_on_the_page(protocol: str) -> None:
    assert protocol.startswith(f"# The wire: `{SUBPROTOCOL}`")


def test_codes_are_text() -> None:
    assert f"{ErrorCode.FORBIDDEN}" == "forbidden"
    assert CloseCode.TOO_MANY_CONNECTIONS.reason == "too-many-connections"
