"""What a client can't ask for again, because it can only listen or does not know how, is asked for in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Error, Reset, ServerMessage

# How soon rows that could not be read are asked for again, in seconds.
AGAIN = 5.0


def ask_again(message: ServerMessage, ask: Callable[[Sequence[str]], None]) -> None:
    """Ask for the channels of which a client was told so just now that another one would ask for them."""
    match message:
        case Reset():
            ask(message.channels)
        case Error(code=ErrorCode.SNAPSHOT_FAILED, channel=str(channel)):
            asyncio.get_running_loop().call_later(AGAIN, ask, [channel])
