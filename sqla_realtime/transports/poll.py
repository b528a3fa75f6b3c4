"""The long-poll: each request brings all its channels and their position, each answer all of them to a later one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.gathering import Members
from sqla_realtime.protocol.messages import (
    Bye,
    Error,
    Leave,
    NeedsAuth,
    Ping,
    Recovered,
    Reset,
    ServerMessage,
    Snapshot,
    Subscribe,
    Unsubscribed,
    Welcome,
)  # fmt: skip
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.pump import Pump
from sqla_realtime.transports.stream import StreamHandler


class PollHandler(StreamHandler):
    """Nothing is kept between two polls, so the next one may reach another process.

    The answer is written as it comes, so that a large one is bounded like any other stream; it is complete when
    everything is answered and there is news, or no more patience.
    """

    def initialize(self, lobby: Lobby) -> None:
        super().initialize(lobby)
        self._begun = False
        self._late = False

    async def post(self) -> None:
        """The body is what the client would say on a WebSocket, the answer what it would hear there."""
        try:
            messages = self.posted()
        except Refused as refused:
            self.refuse(refused)
            return
        asked = [name for message in messages if isinstance(message, Subscribe) for name in message.channels]
        self._caller = _Caller(self._lobby.codec, self._lobby.settings.queue_bytes, asked)
        timer = asyncio.get_running_loop().call_later(self._lobby.patience, self._hurry)
        try:
            await self.converse(self._caller, messages)
        finally:
            timer.cancel()

    def frame(self, messages: list[bytes]) -> bytes:
        data = (b"," if self._begun else b"[") + b",".join(messages)
        self._begun = True
        if not self._is_complete():
            return data
        # From here on nothing more is taken: the client's position is that of what it has been sent.
        self._caller.complete = True
        self._caller.wake()
        return data + b"]"

    def drained(self) -> None:
        if self._caller.complete:
            self.over()

    def _is_complete(self) -> bool:
        if self._caller.close_code is not None:
            return True
        return (self._caller.news or self._late) and self.conversation.settled

    def _hurry(self) -> None:
        self._late = True
        if self._pump is not None:
            self._caller.tell(Ping(self._lobby.house.hub.position if self._caller.channels else None))


class _Caller(Pump):
    """A connection that knows whether it has been sent something for which its client should not wait any longer.

    ``asked`` are the channels that its client has asked for. It takes all of them to be where the answer ends, so those
    that will not be answered any more are reset before it ends. Once the answer is ``complete`` there is no room for more.
    """

    __slots__ = ("_unanswered", "complete", "news")

    def __init__(self, codec: Codec, budget: int, asked: Iterable[str]) -> None:
        super().__init__(codec, budget)
        self.complete = self.news = False
        self._unanswered = dict.fromkeys(asked)

    def send(self, data: bytes) -> None:
        if not self.complete:
            super().send(data)
            self.news = True

    def tell(self, message: ServerMessage) -> None:
        if isinstance(message, Bye | NeedsAuth) and self._unanswered and self.told is not None:
            self.tell(Reset(tuple(self._unanswered), ErrorCode.BEHIND))
        before = self.news
        super().tell(message)
        match message:
            case Welcome() | Ping(own=False) | Recovered(commits=[], own=False) | Members(members=None):
                self.news = before
        for name in _answered(message):
            self._unanswered.pop(name, None)


def _answered(message: ServerMessage) -> Iterable[str]:
    """The channels of which the client knows where it is."""
    match message:
        case Recovered() | Leave() | Reset() | Unsubscribed():
            return message.channels
        case Snapshot() | Error(channel=str()):
            return (message.channel or "",)
    return ()
