"""What is asked for in a client's place: channels that were reset at once, rows that could not be read a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Error, Leave, Reset, ServerMessage
from sqla_realtime.transports.again import AGAIN, ask_again
from tests.support.virtual import run


@pytest.mark.parametrize(
    ("message", "after", "asked"),
    [
        (Reset(("a", "b"), ErrorCode.INVALIDATED), 0.0, ["a", "b"]),
        (Error(ErrorCode.SNAPSHOT_FAILED, "", channel="a"), AGAIN, ["a"]),
        (Error(ErrorCode.SNAPSHOT_TOO_LARGE, "", channel="a"), None, []),
        (Error(ErrorCode.FORBIDDEN, "", channel="a"), None, []),
        (Error(ErrorCode.SNAPSHOT_FAILED, ""), None, []),
        (Leave(("a",), ErrorCode.FORBIDDEN), None, []),
    ],
)
def test_what_is_asked_for_and_when(message: ServerMessage, after: float | None, asked: list[str]) -> None:
    heard: list[tuple[float, list[str]]] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()

        def ask(channels: Sequence[str]) -> None:
            heard.append((loop.time() - begun, list(channels)))

        ask_again(message, ask)
        await asyncio.sleep(2 * AGAIN)

    run(scene())
    assert [(round(moment, 3), channels) for moment, channels in heard] == ([] if after is None else [(after, asked)])
