"""Sessions that requests carry, one after the other: whichever process a request reaches, the one with its session answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqla_realtime.hub.conversation import Conversation
from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.transports.family import place_of
from sqla_realtime.transports.gated import BodyHandler
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.mailbox import Mailbox


class Sessions:
    """The sessions of one dialect on one server. Loop thread only.

    ``via`` reads in a session's name which process has it. Without, clients make names up, and each has a place of its own
    where siblings find it.
    """

    def __init__(self, lobby: Lobby, via: Callable[[str], str | None] | None = None) -> None:
        self.lobby = lobby
        self._via = via
        self._known: dict[str, Mailbox] = {}

    def place(self, name: str) -> str | None:
        """Where siblings are asked for a session, None for nowhere."""
        return place_of(name) if self._via is None else self._via(name)

    def find(self, name: str) -> Mailbox | None:
        """The session of a name."""
        return self._known.get(name)

    def open(self, name: str, conversation: Conversation, box: Mailbox) -> None:
        """A session begins."""
        siblings = self.lobby.siblings
        release = siblings.claim(place_of(name)) if self._via is None and siblings is not None else lambda: None

        def over() -> None:
            release()
            del self._known[name]
            self.lobby.leave(conversation)
            conversation.end()

        box.begin(self.lobby.flusher, conversation.receive, over)
        self._known[name] = box
        self.lobby.enter(conversation, None)


class SessionHandler(BodyHandler):
    """A request of a session: it takes what has come for the client, or brings what the client says."""

    # Tornado calls it with what the route was given, which is each handler's own; so do those that derive from this.
    def initialize(self, sessions: Sessions) -> None:  # type: ignore[override]
        super().initialize(sessions.lobby)
        self._sessions = sessions
        self._box: Mailbox | None = None

    async def find(self, name: str) -> Mailbox | None:
        """The session of a name, None where there is none. Raises Finish where the process that has it answers, and Refused."""
        box = self._sessions.find(name)
        place = self._sessions.place(name)
        if box is None and place is not None:
            await self.pass_on(place)
            # While somebody was waited for who did not answer, another request may have begun it here.
            box = self._sessions.find(name)
        return box

    async def take(self, box: Mailbox, patience: float | None) -> list[bytes] | None:
        """What has come for the client of a session, whose turn is this request's from now on."""
        self._box = box
        return await box.take(self, patience)

    def said(self) -> str:
        """What was posted. Raises Refused."""
        return self.body()

    def packets(self, body: str) -> Sequence[str]:
        """The messages in a body, not read yet. Raises BadMessage."""
        raise NotImplementedError

    def posted(self) -> Sequence[str]:
        """What the client says. Raises Refused."""
        try:
            packets = self.packets(self.said())
        except BadMessage as bad:
            raise Refused(bad.code, bad.message) from None
        self.check_count(packets)
        return packets

    def drop(self) -> None:
        """Cut it off."""
        self.http.stream.close()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._let_go_of()

    def on_finish(self) -> None:
        # However it has ended: of a client that is found gone by a write, nothing else is said once there is an answer.
        self._let_go_of()

    def _let_go_of(self) -> None:
        """A session whose turn is still this request's, when that is over, would wait for it for ever."""
        if self._box is not None:
            self._box.cut(self)
