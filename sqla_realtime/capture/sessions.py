"""Which Sessions are in a transaction, on which Connections, and what each is doing right now.

Kept by numbers, not by weak keys, whose look-ups would cost more than all that is looked up here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from weakref import ref

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from sqla_realtime.capture.ledger import Ledger


class SessionState:
    """What is known of one Session: its Connections, what its transaction touched, and what it is doing."""

    __slots__ = ("committing", "connections", "flushing", "ledgers", "session")

    def __init__(self, session: ref[Session]) -> None:
        self.session = session
        self.connections: list[Connection] = []
        self.ledgers: list[Ledger] = []
        self.committing = False
        self.flushing = False


class Sessions:
    """The states of the Sessions that are in a transaction. ``left`` is told each Connection that one has done with."""

    def __init__(self, left: Callable[[Connection], None]) -> None:
        self._left = left
        # By Session.hash_key, which no other Session ever gets; and by the id of the Connections, which live as long.
        self._states: dict[int, SessionState] = {}
        self._users: dict[int, tuple[SessionState, ...]] = {}

    def __iter__(self) -> Iterator[Session]:
        found = [state.session() for state in list(self._states.values())]
        return iter([session for session in found if session is not None])

    def get(self, session: Session) -> SessionState | None:
        """What is known of a Session."""
        return self._states.get(session.hash_key)

    def enter(self, session: Session) -> SessionState:
        """A Session begins to be followed, until it leaves or is no more."""
        number = session.hash_key
        state = self._states[number] = SessionState(ref(session, partial(self._leave, number)))
        return state

    def use(self, state: SessionState, connection: Connection) -> None:
        """A Session works on a Connection, perhaps beside others."""
        if connection not in state.connections:
            state.connections.append(connection)
            self._users[id(connection)] = (*self._users.get(id(connection), ()), state)

    def users(self, connection: Connection) -> Sequence[SessionState]:
        """The Sessions that work on a Connection."""
        return self._users.get(id(connection), ())

    def leave(self, session: Session) -> None:
        """A Session's transaction has ended."""
        self._leave(session.hash_key)

    def _leave(self, number: int, session: object = None) -> None:
        state = self._states.pop(number, None)
        if state is None:
            return
        for connection in state.connections:
            others = tuple([each for each in self._users[id(connection)] if each is not state])
            if others:
                self._users[id(connection)] = others
            else:
                del self._users[id(connection)]
            self._left(connection)
