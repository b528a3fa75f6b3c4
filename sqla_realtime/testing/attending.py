"""What a RealtimeClient does among others: sees who is there, says something, hears what others say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

Message = dict[str, Any]


class Attending:
    """The part of RealtimeClient that is about members and events; the client itself does the asking. The clients of one
    Realtime meet each other."""

    _ask: Callable[[Message], Coroutine[Any, Any, Message]]
    _settle: Callable[[], Coroutine[Any, Any, None]]
    _next: Callable[[], int]
    _run: Callable[..., Any]

    def __init__(self) -> None:
        self._members: dict[str, dict[str, Message]] = {}
        self._events: list[Message] = []

    def attend(self, channel: str) -> dict[str, Message]:
        """Be with the others in a channel; who is there then, by their ids, as a browser is shown them. Raises Refusal."""
        self._run(self._ask({"type": "attend", "id": self._next(), "channel": channel}))
        return self.members(channel)

    def depart(self, channel: str) -> None:
        """Be there no longer."""
        self._run(self._ask({"type": "depart", "id": self._next(), "channel": channel}))

    def members(self, channel: str) -> dict[str, Message]:
        """Who is in a channel by now. Raises LookupError where this client is not."""
        self._run(self._settle())
        if channel not in self._members:
            raise LookupError(f"This client is not in {channel}: attend({channel!r}) comes first, and may be refused.")
        return dict(self._members[channel])

    def say(self, channel: str, name: str, data: Any = None) -> None:
        """Say something to the others in a channel. Raises Refusal."""
        self._run(self._ask({"type": "say", "id": self._next(), "channel": channel, "name": name, "data": data}))

    def events(self) -> list[Message]:
        """What others have said since the last look: ``channel``, ``name``, ``data`` and ``from``, the id of who it was."""
        self._run(self._settle())
        taken, self._events = self._events, []
        return taken

    def _mind(self, message: Message) -> None:
        """What PROTOCOL.md has a client do with a message about members and events; others change nothing."""
        match message:
            case {"type": "members", "channel": channel, "members": members}:
                self._members[channel] = {member["id"]: member["info"] for member in members}
            case {"type": "joined", "channel": channel, "member": member}:
                self._members[channel][member["id"]] = member["info"]
            case {"type": "left", "channel": channel, "member": member}:
                self._members[channel].pop(member, None)
            case {"type": "event"}:
                self._events.append({name: value for name, value in message.items() if name != "type"})
            case {"type": "departed", "channel": channel}:
                self._members.pop(channel, None)
            case {"type": "leave", "channels": channels}:
                for channel in channels:
                    self._members.pop(channel, None)
            case {"type": "needs_auth"}:
                self._members.clear()
