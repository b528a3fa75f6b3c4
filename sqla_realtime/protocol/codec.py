"""The seam between what is said and how it is spelled: one Codec per dialect, pure and stateless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqla_realtime.commit import Change, Position
from sqla_realtime.protocol.codes import Closing
from sqla_realtime.protocol.messages import ClientMessage, Command, ServerMessage, Subscribe


class BadMessage(Exception):
    """What a client sent is none of the dialect's messages; ``code`` and ``message`` are its answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Spelled(bytes):
    """The lines of one change; ``side``: who made its commit did not act on this row itself."""

    side: bool

    def __new__(cls, text: bytes, *, side: bool) -> Spelled:
        made = super().__new__(cls, text)
        made.side = side
        return made


class Codec(Protocol):
    """Spells messages. Never blocks, keeps no state, may be shared by all connections.

    ``name`` identifies the dialect: what one codec of a name has spelled serves every connection with that name.
    ``merges``: a reader who lags behind may be sent several commits as one.
    ``rows``: a subscription begins with the channel's rows, and a reset ends it. Without, its clients load rows by other
    ways: it begins with what is committed next, and goes on after a reset.
    ``lines``: each line of what it has spelled is a message on the wire, and an empty text is none.
    """

    name: str
    merges: bool
    rows: bool
    lines: bool

    def decode(self, text: str) -> ClientMessage:
        """The message that a client sent. Raises BadMessage, and nothing else, for whatever else it may be."""

    def batch(self, text: str) -> list[ClientMessage]:
        """The messages that a client sent in one body. Raises BadMessage if one of them, or the whole, is none."""

    def command(self, text: str) -> Command:
        """A connection's id and messages for it, sent in one body. Raises BadMessage."""

    def subscription(self, number: int, channels: Sequence[str], after: str | None) -> Subscribe:
        """A subscribe that was spelled as a URL. Raises BadMessage."""

    def encode(self, message: ServerMessage) -> bytes:
        """A message as UTF-8 text."""

    def closes(self, code: Closing) -> Closing:
        """The dialect's own code for why the server closes."""

    def change(self, change: Change) -> bytes:
        """One change as it stands in commits; called once per change, however many commits it stands in."""

    def commit(self, position: Position, changes: Sequence[bytes], origin: str | None = None) -> bytes:
        """One transaction, of changes that ``change`` has spelled; ``origin`` for the connection that made it alone."""
