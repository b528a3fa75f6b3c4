"""Attaches the listeners to what enable() was given, and joins what Sessions tell with what their Connections do.

Called in the application's threads. No listener raises into the user's transaction.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

from sqlalchemy import Connection, Engine, Select, event
from sqlalchemy.orm import Session, SessionTransaction

from sqla_realtime.brokers.base import Broker
from sqla_realtime.capture.cascades import Cascades
from sqla_realtime.capture.collector import Collector
from sqla_realtime.capture.flush import FlushWatcher
from sqla_realtime.capture.ledger import Ledger, Ledgers
from sqla_realtime.capture.silence import is_silent
from sqla_realtime.capture.statements import StatementWatcher
from sqla_realtime.capture.taps import Taps
from sqla_realtime.capture.targets import Target
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry

EVENTS = (
    "after_begin",
    "before_flush",
    "after_flush_postexec",
    "before_commit",
    "after_commit",
    "after_transaction_end",
)


class _State:
    """What is known of one Session: its Connections, what its transaction touched, and what it is doing right now."""

    __slots__ = ("committing", "connections", "flushing", "ledgers")

    def __init__(self) -> None:
        self.connections: WeakSet[Connection] = WeakSet()
        self.ledgers: set[Ledger] = set()
        self.committing = False
        self.flushing = False


class Hooks:
    """The capture of one Realtime: from the first touched row of an enabled Session to the broker.

    ``statement_rows`` is how many rows one statement outside a flush may change and still be told row by row,
    ``transaction_rows`` how many one transaction may touch.
    """

    def __init__(
        self,
        registry: Registry,
        broker: Broker,
        wants: Callable[[str], bool],
        *,
        statement_rows: int = 1000,
        transaction_rows: int = 100_000,
    ) -> None:
        order = itertools.count()
        self._taps = Taps(broker, wants)
        wants = self._taps.wants
        self._ledgers = Ledgers(self._taps, Collector(registry, wants), limit=transaction_rows)
        cascades = Cascades(registry, wants, order, statement_rows)
        self._flushes = FlushWatcher(registry, self._ledger_of, wants, cascades, order)
        self._statements = StatementWatcher(registry, self._ledger_of, wants, cascades, order=order, limit=statement_rows)
        # Neither a Session nor a factory's class lives longer because it is listened to.
        self._lock = threading.Lock()
        self._targets: WeakSet[type[Session] | Session] = WeakSet()
        self._heard: WeakKeyDictionary[type[Session] | Session, dict[str, partial[None]]] = WeakKeyDictionary()
        self._states: WeakKeyDictionary[Session, _State] = WeakKeyDictionary()
        self._sessions: WeakKeyDictionary[Connection, ref[Session]] = WeakKeyDictionary()

    def watch(self, publication: Publication) -> None:
        """Notice the rows of a publication, and those that its records show."""
        for mapper in (publication.mapper, *(embed.related for embed in publication.fields.embeds)):
            self._flushes.watch(mapper)

    def enable(self, target: Target) -> None:
        """Listen to the Sessions of a target, from their next transactions on. Doing so twice changes nothing."""
        self._targets.add(target.listen)
        if target.listen not in self._heard:
            # Functions of its own: SQLAlchemy mixes up removals where a class and its subclass share them.
            listeners = {name: partial(getattr(self, f"_{name}")) for name in EVENTS}
            self._heard[target.listen] = listeners
            for name, listener in listeners.items():
                event.listen(target.listen, name, listener)
        for engine in target.engines:
            self._listen(engine)
        self._tidy()

    def _listen(self, engine: Engine) -> None:
        """Follow an engine's Connections. SQLAlchemy can't take listeners while others call those that are there, so the
        engines that are known when a target is enabled get them then."""
        with self._lock:
            if self._ledgers.listen(engine):
                event.listen(engine, "before_cursor_execute", self._before_cursor_execute)
                event.listen(engine, "after_cursor_execute", self._after_cursor_execute)

    def disable(self, target: Target) -> None:
        """Listen no more, from their next transactions on: one that is open is told as a whole, or not at all."""
        self._targets.discard(target.listen)
        self._tidy()

    def _tidy(self) -> None:
        """Take the listeners off what was disabled. Where transactions are open they stay for now, and hear them end."""
        opened = [session for session in (each() for each in self._states.keyrefs()) if session is not None]
        for listen in list(self._heard):
            if listen not in self._targets and not any(listen in _targets_of(session) for session in opened):
                for name, listener in self._heard.pop(listen).items():
                    event.remove(listen, name, listener)

    @property
    def enabled(self) -> bool:
        """Whether any Session is listened to."""
        return bool(self._targets)

    @property
    def waiting(self) -> bool:
        """Whether some transaction has changed published rows and has not ended."""
        return self._ledgers.waiting

    def tap(self, log: Broker, *, savepoints: bool = False) -> None:
        """Tell another log everything too. With ``savepoints`` a Session's commit inside somebody else's transaction counts."""
        self._taps.add(log, savepoints=savepoints)

    def untap(self, log: Broker) -> None:
        """Tell it nothing more."""
        self._taps.remove(log)

    def _enter(self, session: Session) -> _State | None:
        """What is known of a Session, None where it is none of ours."""
        state = self._states.get(session)
        if state is None and any(each in self._targets for each in _targets_of(session)):
            state = self._states[session] = _State()
        return state

    def _ledger_of(self, session: Session, connection: Connection) -> Ledger | None:
        state = self._states.get(session)
        if state is None or connection not in state.connections or is_silent(self, session):
            return None
        ledger = self._ledgers.of(connection)
        state.ledgers.add(ledger)
        ledger.owned = state.committing
        return ledger

    def _after_begin(self, session: Session, transaction: SessionTransaction, connection: Connection) -> None:
        state = self._enter(session)
        if state is None:
            return
        state.connections.add(connection)
        self._sessions[connection] = ref(session)
        self._listen(connection.engine)

    def _before_cursor_execute(
        self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        compiled = getattr(context, "compiled", None)
        if compiled is not None and type(compiled.statement) is Select and not compiled.ctes:
            # Most statements. They change nothing, and need not pay for looking up whose they are.
            return
        found = self._sessions.get(connection)
        session = found() if found is not None else None
        state = self._states.get(session) if session is not None else None
        if session is None or state is None or connection not in state.connections:
            return
        # The unit of work sends its own statements with a cache of its own; what it does is seen by the FlushWatcher.
        if not (state.flushing and context is not None and "compiled_cache" in context.execution_options):
            self._statements.before(session, connection, statement, context)

    def _after_cursor_execute(
        self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        ledger = self._ledgers.peek(connection)
        if ledger is not None and ledger.expected is not None:
            self._statements.after(ledger, cursor.rowcount, context)

    def _before_flush(self, session: Session, context: Any, instances: Any) -> None:
        state = self._enter(session)
        if state is not None:
            state.flushing = True
            self._flushes.start(session)

    def _after_flush_postexec(self, session: Session, context: Any) -> None:
        state = self._states.get(session)
        if state is not None:
            state.flushing = False
            self._flushes.end(session)

    def _before_commit(self, session: Session) -> None:
        state = self._states.get(session)
        if state is not None:
            state.committing = True
            for ledger in state.ledgers:
                ledger.owned = True

    def _after_commit(self, session: Session) -> None:
        # Also called when a savepoint is released, and when a Session that joined a transaction leaves it: no ticket
        # was taken then, because nothing was committed.
        state = self._states.get(session)
        if state is None:
            return
        state.committing = False
        for ledger in state.ledgers:
            ledger.owned = False
            if ledger.ticket is not None:
                ledger.ticket.finish(committed=True)
        if not session.in_nested_transaction():
            state.ledgers.clear()
            for connection in list(state.connections):
                self._ledgers.hand_over(connection)

    def _after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        state = self._states.get(session)
        if state is None:
            return
        # A flush that failed ends its part of the transaction, and says so nowhere else.
        state.flushing = False
        self._flushes.end(session)
        if transaction.parent is not None:
            return
        for ledger in state.ledgers:
            ledger.owned = False
            if ledger.ticket is not None:
                # A COMMIT began, and neither its success nor its failure was told: another database's COMMIT of the
                # same Session failed, or somebody's listener raised.
                ledger.ticket.doubt()
        del self._states[session]


def _targets_of(session: Session) -> tuple[object, ...]:
    """Everything that enable() may have been given if it was to reach this Session."""
    return (session, *type(session).__mro__)
