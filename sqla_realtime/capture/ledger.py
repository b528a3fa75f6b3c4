"""What each open database transaction did so far, followed on its Connection: that is where COMMIT and ROLLBACK happen.

A Session's own events tell what the Session believes: they fire for savepoints and for Sessions joined to somebody
else's transaction, and stay away when a Session is closed or its COMMIT fails. The Connection's events tell what is
sent to the database. So a ledger belongs to a Connection, from the first published change of a transaction to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper

from sqla_realtime.brokers.base import Outcome, Probe, Ticket
from sqla_realtime.capture.taps import Taps
from sqla_realtime.capture.tracker import Tracker
from sqla_realtime.commit import Commit


class Ledger:
    """One transaction of one Connection: its tracker while it is open, its ticket once its COMMIT has begun.

    ``owned`` is set while a Session that will tell how it ended commits the transaction. ``lost`` are mappers of which
    rows changed that could not be noted. ``expected`` is the statement under way and how many rows it was seen to change.
    ``told`` are those that were lost in a part that was handed over. ``sealed``: nothing but its COMMIT comes any more.
    """

    __slots__ = ("__weakref__", "busy", "commit", "expected", "lost", "owned", "sealed", "ticket", "told", "tracker")

    def __init__(self, limit: int = 100_000) -> None:
        self.tracker = Tracker(limit)
        self.commit: Commit | None = None
        self.ticket: Ticket | None = None
        self.owned = False
        self.sealed = False
        self.lost: set[Mapper[Any]] = set()
        self.told: set[Mapper[Any]] = set()
        self.expected: tuple[object, int, Sequence[Mapper[Any]]] | None = None
        # True while our own statements run on the Connection: their savepoints are no business of the tracker.
        self.busy = False


def row_key(model: type[Any], key: tuple[Any, ...]) -> tuple[int, tuple[Any, ...]]:
    """A row in the tracker: the model among whose rows its key is unique, and the key.

    A number stands for the model, because a tuple of numbers costs the garbage collector nothing: with the class in it,
    ten thousand of them set off a collection of everything the process holds.
    """
    return id(model), key


Collect = Callable[[Connection, Ledger], Commit]


class Ledgers:
    """The ledgers of every Connection with published changes, kept by the events of their engines.

    ``limit`` is how many rows one transaction may touch and still be told row by row. All methods run in the thread that
    uses the Connection. Nothing here raises into the user's transaction.
    """

    def __init__(self, taps: Taps, collect: Collect, *, limit: int = 100_000) -> None:
        self._taps = taps
        self._limit = limit
        self._collect = collect
        self._ledgers: WeakKeyDictionary[Connection, Ledger] = WeakKeyDictionary()
        self._engines: WeakSet[Engine] = WeakSet()

    def peek(self, connection: Connection) -> Ledger | None:
        """The ledger of a Connection, where it has one."""
        return self._ledgers.get(connection)

    def of(self, connection: Connection) -> Ledger:
        """The ledger of the transaction that is open on a Connection, with its tracker at the innermost savepoint."""
        ledger = self._ledgers.get(connection)
        if ledger is None or ledger.ticket is not None:
            ledger = self._ledgers[connection] = Ledger(self._limit)
        self._name(connection, ledger)
        return ledger

    @property
    def waiting(self) -> bool:
        """Whether some transaction has changed published rows and has not ended."""
        return any(each.ticket is None and (each.tracker or each.lost) for each in list(self._ledgers.values()))

    def hand_over(self, connection: Connection) -> None:
        """A Session has committed inside a transaction that goes on: tell what it did to the taps that take it for a COMMIT."""
        ledger = self._open(connection)
        if ledger is None:
            return
        part = Ledger()
        part.tracker, part.lost = ledger.tracker.mark(), ledger.lost
        ledger.told |= ledger.lost
        ledger.lost = set()
        if self._taps.savepoints:
            commit = self._collect(connection, part)
            if commit:
                self._taps.hand_over(commit)

    def listen(self, engine: Engine) -> bool:
        """Follow the Connections of an engine from now on; False where they are followed already."""
        if engine in self._engines:
            return False
        self._engines.add(engine)
        for name in (
            "begin", "savepoint", "release_savepoint", "rollback_savepoint", "rollback", "commit",
            "prepare_twophase", "commit_twophase", "rollback_twophase", "handle_error",
        ):  # fmt: skip
            event.listen(engine, name, getattr(self, f"_{name}"))
        return True

    def _begin(self, connection: Connection) -> None:
        # Whatever is left from an earlier transaction ended without an event of its own.
        self._drop(connection)

    def _savepoint(self, connection: Connection, name: str | None) -> None:
        ledger = self._open(connection)
        if ledger is not None:
            self._name(connection, ledger)
            ledger.tracker.savepoint(name)

    def _release_savepoint(self, connection: Connection, name: str, context: None) -> None:
        ledger = self._open(connection)
        if ledger is not None:
            self._name(connection, ledger)
            ledger.tracker.release(name)

    def _rollback_savepoint(self, connection: Connection, name: str, context: None) -> None:
        ledger = self._open(connection)
        if ledger is not None:
            self._name(connection, ledger)
            ledger.tracker.rollback(name)

    def _rollback(self, connection: Connection) -> None:
        self._drop(connection)

    def _commit(self, connection: Connection) -> None:
        ledger = self._open(connection)
        if ledger is not None:
            self._seal(connection, ledger)
            self._take_ticket(connection, ledger)

    def _prepare_twophase(self, connection: Connection, xid: Any) -> None:
        ledger = self._open(connection)
        if ledger is not None:
            self._seal(connection, ledger)

    def _commit_twophase(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        ledger = self._open(connection)
        if ledger is not None:
            if ledger.commit is None:
                self._seal(connection, ledger)
            self._take_ticket(connection, ledger)

    def _rollback_twophase(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        self._drop(connection)

    def _handle_error(self, context: ExceptionContext) -> None:
        # Between the ticket and the end of COMMIT nothing else runs on the Connection, so the error is COMMIT's own.
        ledger = self._ledgers.get(context.connection) if context.connection is not None else None
        if ledger is not None and ledger.ticket is not None:
            if isinstance(context.sqlalchemy_exception, DBAPIError) and not context.is_disconnect:
                ledger.ticket.finish(committed=False)
            else:
                ledger.ticket.doubt()

    def _open(self, connection: Connection) -> Ledger | None:
        ledger = self._ledgers.get(connection)
        return None if ledger is None or ledger.busy or ledger.ticket is not None else ledger

    def _name(self, connection: Connection, ledger: Ledger) -> None:
        """Tell the tracker the innermost savepoint's name, which its event did not have yet."""
        nested = connection.get_nested_transaction()
        if nested is not None:
            ledger.tracker.name(nested._savepoint)

    def _seal(self, connection: Connection, ledger: Ledger) -> None:
        """Turn what was tracked into the commit that will be published, with the rows as they are stored now."""
        ledger.lost |= ledger.told
        ledger.sealed = True
        ledger.commit = self._collect(connection, ledger)

    def _take_ticket(self, connection: Connection, ledger: Ledger) -> None:
        if ledger.commit:
            ledger.ticket = self._taps.begin(ledger.commit, None if ledger.owned else _probe(connection))
        else:
            self._ledgers.pop(connection, None)

    def _drop(self, connection: Connection) -> None:
        self._ledgers.pop(connection, None)


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
