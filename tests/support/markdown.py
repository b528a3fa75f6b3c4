"""The fenced blocks of a Markdown document, with their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w.+-]*)")
NOT_RUN = re.compile(r"^\s*<!--\s*not run:\s*\S.*-->\s*$")


class Block(NamedTuple):
    """A fenced block; excused is one with a reason not to run it right above."""

    language: str
    line: int
    code: str
    excused: bool


def blocks(text: str) -> Iterator[Block]:
    above, fence = "", None
    inside: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if fence is None:
            if fence := FENCE.match(line):
                start, inside = number, []
            elif line.strip():
                above = line
        elif line.strip().startswith(fence["fence"]) and not line.strip(" `~"):
            excused = NOT_RUN.match(above) is not None
            yield Block(fence["language"], start, "".join(inside), excused)
            above, fence = "", None
        else:
            inside.append(line.removeprefix(fence["indent"]) + "\n")
    assert fence is None, f"the block that opens in line {start} is never closed"
