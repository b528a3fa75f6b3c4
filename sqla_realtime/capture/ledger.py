"""What each open database transaction did so far, followed on its Connection: that is where COMMIT and ROLLBACK happen.

A Session's own events tell what the Session believes: they fire for savepoints and for Sessions joined to somebody
else's transaction, and stay away when a Session is closed or its COMMIT fails. The Connection tells what is sent to the
database. So a ledger belongs to a Connection, from the first published change of a transaction to its end.

Only a Connection with a ledger is listened to: SQLAlchemy makes every statement of an engine pay for its listeners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakSet, ref

from sqlalchemy import Connection, event
from sqlalchemy.engine import ExceptionContext, RootTransaction
from sqlalchemy.engine.interfaces import ConnectionEventsTarget
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper

from sqla_realtime.brokers.base import Outcome, Probe, Ticket
from sqla_realtime.capture.taps import Taps
from sqla_realtime.capture.tracker import Tracker
from sqla_realtime.commit import Commit

_ENDS = ("commit", "prepare_twophase", "commit_twophase")


class _Ears(ConnectionEventsTarget):
    """Has the listeners that Connections get. What event.listen() does for one costs more than the transaction of a row."""

    def __init__(self) -> None:
        self._has_events = False

    def join(self, connection: Connection) -> None:
        """Let these listeners hear a Connection, after its own and its engine's."""
        own: Any = connection.dispatch
        connection.dispatch = type(own)(own, self.dispatch)
        connection._has_events = True


class Expected(NamedTuple):
    """What is known of a statement under way: ``rows`` were seen, and those of ``mappers`` are in doubt where it changes
    more. ``check`` looks at what it did, and tells whether they are all the same."""

    context: object
    rows: int
    mappers: Sequence[Mapper[Any]]
    check: Callable[[], bool] | None = None


class Ledger:
    """One transaction of one Connection: its tracker while it is open, its ticket once its COMMIT has begun.

    ``root`` is the transaction. ``expected`` is the statement under way, how many rows it was seen to change, and what is
    in doubt where it changes more. ``sealed``: nothing but its COMMIT comes any more. ``alone``: nothing but the flushes of
    Sessions that are followed has written on the Connection. ``lost``: what has taken the transaction with it.
    """

    __slots__ = (
        "__weakref__", "_connection", "_root", "alone", "busy", "commit", "expected", "lost", "sealed", "ticket", "tracker",
    )  # fmt: skip

    def __init__(self, connection: Connection, tracker: Tracker, gone: Callable[[Any], None] | None = None) -> None:
        root = connection.get_transaction()
        # Neither lives longer because it is followed.
        self._connection = ref(connection, gone)
        self._root: Callable[[], RootTransaction | None] = ref(root) if root is not None else _no_transaction
        self.tracker = tracker
        self.commit: Commit | None = None
        self.ticket: Ticket | None = None
        self.sealed = False
        self.alone = True
        self.expected: Expected | None = None
        self.lost: BaseException | None = None
        # True while our own statements run on the Connection: they are no business of the tracker.
        self.busy = False

    @property
    def open(self) -> bool:
        """Whether its transaction goes on, and its COMMIT has not begun."""
        root = self._root()
        return self.ticket is None and root is not None and root.is_active

    def of(self, root: RootTransaction | None) -> bool:
        """Whether this is the transaction, and its COMMIT has not begun."""
        return self.ticket is None and self._root() is root


def _no_transaction() -> None:
    """A Connection that commits by itself has none."""


def row_key(model: type[Any], key: tuple[Any, ...]) -> tuple[int, tuple[Any, ...]]:
    """A row in the tracker: the model among whose rows its key is unique, and the key.

    A number stands for the model, because a tuple of numbers costs the garbage collector nothing: with the class in it,
    ten thousand of them set off a collection of everything the process holds.
    """
    return id(model), key


Collect = Callable[[Connection, Ledger], Commit]


class Ledgers:
    """The ledgers of every Connection with published changes.

    ``collect`` makes the commit of a ledger, ``tracker`` what it is kept in. ``owned`` tells whether a Session that will
    say how it ended is committing a Connection's transaction. All methods run in the thread that uses the Connection.
    Nothing here raises into the user's transaction, but for one thing: where its commit can't be written to a log that is
    kept in the database, the COMMIT fails with LogUnwritable.
    """

    def __init__(
        self, taps: Taps, collect: Collect, owned: Callable[[Connection], bool], tracker: Callable[[], Tracker]
    ) -> None:
        self._taps = taps
        self._collect = collect
        self._owned = owned
        self._tracker = tracker
        # By the Connection's id, for as long as it lives: a weak key costs each look-up as much as all the rest of it.
        self._ledgers: dict[int, Ledger] = {}
        self._heard: WeakSet[Connection] = WeakSet()
        self._ears = _Ears()
        for name in _ENDS:
            event.listen(self._ears, name, getattr(self, f"_{name}"))

    def peek(self, connection: Connection) -> Ledger | None:
        """The ledger of the transaction that is open on a Connection, where it has one, unless our own statements run."""
        ledger = self._ledgers.get(id(connection))
        return None if ledger is None or ledger.busy or not ledger.of(connection.get_transaction()) else ledger

    def of(self, connection: Connection) -> Ledger:
        """The ledger of the transaction that is open on a Connection."""
        number = id(connection)
        ledger = self._ledgers.get(number)
        if ledger is None or not ledger.of(connection.get_transaction()):
            # What an earlier transaction left there ended without an event of its own.
            ledger = self._ledgers[number] = Ledger(connection, self._tracker(), partial(self._forget, number))
            if connection not in self._heard:
                self._heard.add(connection)
                self._ears.join(connection)
        return ledger

    def expect(self, connection: Connection, listener: Callable[..., None]) -> None:
        """Have a listener called after each statement on this Connection, the one under way too."""
        if not event.contains(connection, "after_cursor_execute", listener):
            event.listen(connection, "after_cursor_execute", listener)

    @property
    def waiting(self) -> bool:
        """Whether some transaction has changed published rows and has not ended."""
        return any(each.open and each.tracker for each in list(self._ledgers.values()))

    def hand_over(self, connection: Connection) -> None:
        """A Session has committed inside a transaction that goes on: tell what it did to the taps that take it for a COMMIT."""
        ledger = self.peek(connection)
        if ledger is None:
            return
        part = Ledger(connection, ledger.tracker.mark())
        part.alone = ledger.alone
        if self._taps.savepoints:
            commit = self._collect(connection, part)
            if commit:
                self._taps.hand_over(commit)

    def meddle(self, connection: Connection) -> None:
        """Somebody who is not followed writes on a Connection."""
        ledger = self.peek(connection)
        if ledger is not None:
            ledger.alone = False

    def tidy(self, connection: Connection) -> None:
        """A Session has ended its transaction on a Connection: keep nothing of one that was rolled back."""
        ledger = self._ledgers.get(id(connection))
        if ledger is not None and not ledger.open:
            del self._ledgers[id(connection)]

    def handle_error(self, context: ExceptionContext) -> None:
        """Something failed on an engine."""
        # Between the ticket and the end of COMMIT nothing else runs on the Connection, so the error is COMMIT's own.
        ledger = self._ledgers.get(id(context.connection)) if context.connection is not None else None
        if ledger is not None and ledger.ticket is not None:
            if isinstance(context.sqlalchemy_exception, DBAPIError) and not context.is_disconnect:
                ledger.ticket.finish(committed=False)
            else:
                ledger.ticket.doubt()

    def _commit(self, connection: Connection) -> None:
        ledger = self.peek(connection)
        if ledger is not None:
            self._seal(connection, ledger)
            self._take_ticket(connection, ledger)

    def _prepare_twophase(self, connection: Connection, xid: Any) -> None:
        ledger = self.peek(connection)
        if ledger is not None:
            self._seal(connection, ledger)

    def _commit_twophase(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        ledger = self.peek(connection)
        if ledger is not None:
            if ledger.commit is None:
                self._seal(connection, ledger)
            self._take_ticket(connection, ledger)

    def _seal(self, connection: Connection, ledger: Ledger) -> None:
        """Turn what was tracked into the commit that will be published, with the rows as they are stored now."""
        ledger.sealed = True
        ledger.commit = self._collect(connection, ledger)
        if ledger.commit:
            ledger.busy = True
            try:
                self._taps.stage(ledger.commit, connection)
            finally:
                ledger.busy = False

    def _take_ticket(self, connection: Connection, ledger: Ledger) -> None:
        if ledger.commit:
            ledger.ticket = self._taps.begin(ledger.commit, None if self._owned(connection) else _probe(connection))
        else:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._ledgers.pop(id(connection), None)

    def _forget(self, number: int, connection: object) -> None:
        """A Connection is no more; another one may get its number."""
        self._ledgers.pop(number, None)


def _probe(connection: Connection) -> Probe:
    """Asks a Connection how the COMMIT that it is sending ended, for transactions that no Session owns.

    SQLAlchemy makes a root transaction inactive when its COMMIT has been tried, and takes it off the Connection only
    when that succeeded; a failure is told by handle_error before.
    """
    root = connection.get_transaction()
    watched = ref(connection)

    def ask() -> Outcome:
        if root is None or root.is_active:
            return None
        alive = watched()
        return True if alive is None or alive.get_transaction() is not root else None

    return ask
