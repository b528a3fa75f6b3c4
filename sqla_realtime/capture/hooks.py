"""Attaches the listeners to what enable() was given, and joins what Sessions tell with what their Connections do.

Called in the application's threads. No listener raises into the user's transaction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from sqla_realtime.brokers.base import Publisher
from sqla_realtime.capture.cascades import Cascades
from sqla_realtime.capture.collector import Collector
from sqla_realtime.capture.flush import FlushWatcher
from sqla_realtime.capture.ground import Ground
from sqla_realtime.capture.ledger import Ledger, Ledgers
from sqla_realtime.capture.sessions import Sessions, SessionState
from sqla_realtime.capture.silence import is_silent
from sqla_realtime.capture.statements import StatementWatcher
from sqla_realtime.capture.taps import Taps
from sqla_realtime.capture.targets import Target
from sqla_realtime.capture.tracker import Tracker
from sqla_realtime.capture.wire import Wire
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


class Hooks:
    """The capture of one Realtime: from the first touched row of an enabled Session to the broker.

    ``statement_rows`` is how many rows one statement outside a flush may change and still be told row by row,
    ``transaction_rows`` how many one transaction may touch.
    """

    def __init__(
        self,
        registry: Registry,
        broker: Publisher,
        wants: Callable[[str], bool],
        *,
        statement_rows: int = 1000,
        transaction_rows: int = 100_000,
    ) -> None:
        order = itertools.count()
        self._taps = Taps(broker, wants)
        wants = self._taps.wants
        # Of rows that are forgotten nobody knows what class they have become.
        tracker = partial(Tracker, transaction_rows, lambda mapper: registry.of(mapper).root)
        ground = Ground()
        self._ledgers = Ledgers(self._taps, Collector(registry, wants, ground), self._is_committing, tracker)
        self._sessions = Sessions(self._ledgers.tidy)
        cascades = Cascades(registry, wants, order, statement_rows)
        self._flushes = FlushWatcher(registry, self._ledger_of, wants, cascades, order)
        statements = StatementWatcher(registry, self._ledger_of, wants, cascades, order=order, limit=statement_rows)
        self._wire = Wire(self._ledgers, statements, self._sessions, ground)
        # Neither a Session nor a factory's class lives longer because it is listened to.
        self._targets: dict[int, ref[type[Session] | Session]] = {}
        self._heard: WeakKeyDictionary[type[Session] | Session, dict[str, partial[None]]] = WeakKeyDictionary()

    def watch(self, publication: Publication) -> None:
        """Notice the rows of a publication, and those that its records show."""
        for mapper in (publication.mapper, *(embed.related for embed in publication.fields.embeds)):
            self._flushes.watch(mapper)

    def enable(self, target: Target) -> None:
        """Listen to the Sessions of a target, from their next transactions on. Doing so twice changes nothing."""
        number = id(target.listen)
        self._targets[number] = ref(target.listen, lambda gone: self._targets.pop(number, None))
        if target.listen not in self._heard:
            # Functions of its own: SQLAlchemy mixes up removals where a class and its subclass share them.
            listeners = {name: partial(getattr(self, f"_{name}")) for name in EVENTS}
            self._heard[target.listen] = listeners
            for name, listener in listeners.items():
                event.listen(target.listen, name, listener)
        for engine in target.engines:
            self._wire.listen(engine)
        self._tidy()

    def disable(self, target: Target) -> None:
        """Listen no more, from their next transactions on: one that is open is told as a whole, or not at all."""
        self._targets.pop(id(target.listen), None)
        self._tidy()

    def _tidy(self) -> None:
        """Take the listeners off what was disabled. Where transactions are open they stay for now, and hear them end."""
        opened = list(self._sessions)
        for listen in list(self._heard):
            if id(listen) not in self._targets and not any(id(listen) in _targets_of(session) for session in opened):
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

    def use(self, log: Publisher) -> None:
        """From now on this is the log."""
        self._taps.use(log)

    def tap(self, log: Publisher, *, savepoints: bool = False) -> None:
        """Tell another log everything too. With ``savepoints`` a Session's commit inside somebody else's transaction counts."""
        self._taps.add(log, savepoints=savepoints)

    def untap(self, log: Publisher) -> None:
        """Tell it nothing more."""
        self._taps.remove(log)

    def _enter(self, session: Session) -> SessionState | None:
        """What is known of a Session, None where it is none of ours."""
        state = self._sessions.get(session)
        if state is None and not self._targets.keys().isdisjoint(_targets_of(session)):
            state = self._sessions.enter(session)
        return state

    def _ledger_of(self, session: Session, connection: Connection) -> Ledger | None:
        state = self._sessions.get(session)
        if state is None or connection not in state.connections or is_silent(self, session):
            self._ledgers.meddle(connection)
            return None
        ledger = self._ledgers.of(connection)
        if ledger not in state.ledgers:
            state.ledgers.append(ledger)
        return ledger

    def _is_committing(self, connection: Connection) -> bool:
        return any(state.committing for state in self._sessions.users(connection))

    def _after_begin(self, session: Session, transaction: SessionTransaction, connection: Connection) -> None:
        state = self._enter(session)
        if state is not None:
            self._sessions.use(state, connection)
            self._wire.listen(connection.engine)

    def _before_flush(self, session: Session, context: Any, instances: Any) -> None:
        state = self._enter(session)
        if state is not None:
            state.flushing = True
            self._flushes.start(session)

    def _after_flush_postexec(self, session: Session, context: Any) -> None:
        state = self._sessions.get(session)
        if state is not None:
            state.flushing = False
            self._flushes.end(session)

    def _before_commit(self, session: Session) -> None:
        state = self._sessions.get(session)
        if state is not None:
            state.committing = True

    def _after_commit(self, session: Session) -> None:
        # Also called when a savepoint is released, and when a Session that joined a transaction leaves it: no ticket
        # was taken then, because nothing was committed.
        state = self._sessions.get(session)
        if state is None:
            return
        state.committing = False
        for ledger in state.ledgers:
            if ledger.ticket is not None:
                ledger.ticket.finish(committed=True)
        if state.ledgers and not session.in_nested_transaction():
            state.ledgers.clear()
            for connection in state.connections:
                self._ledgers.hand_over(connection)

    def _after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        state = self._sessions.get(session)
        if state is None:
            return
        # A flush that failed ends its part of the transaction, and says so nowhere else.
        state.flushing = False
        self._flushes.end(session)
        if transaction.parent is not None:
            # A savepoint that could not be released is told by nothing else either.
            state.committing &= not transaction.nested
            return
        for ledger in state.ledgers:
            if ledger.ticket is not None:
                # A COMMIT began, and neither its success nor its failure was told: another database's COMMIT of the
                # same Session failed, or somebody's listener raised.
                ledger.ticket.doubt()
        self._sessions.leave(session)


def _targets_of(session: Session) -> tuple[int, ...]:
    """The ids of everything that enable() may have been given if it was to reach this Session."""
    return (id(session), *map(id, type(session).__mro__))
