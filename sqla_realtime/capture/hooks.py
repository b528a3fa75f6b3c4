"""Attaches the listeners to what enable() was given, and joins what Sessions tell with what their Connections do.

Called in the application's threads. No listener raises into the user's transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from sqla_realtime.brokers.base import Broker
from sqla_realtime.capture.collector import Collector
from sqla_realtime.capture.flush import FlushWatcher
from sqla_realtime.capture.ledger import Ledger, Ledgers
from sqla_realtime.capture.targets import Target
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry

EVENTS = ("before_flush", "before_commit", "after_commit", "after_transaction_end")


class Hooks:
    """The capture of one Realtime: from the first touched row of an enabled Session to the broker."""

    def __init__(self, registry: Registry, broker: Broker, wants: Callable[[str], bool]) -> None:
        self._ledgers = Ledgers(broker, Collector(registry, wants))
        self._watcher = FlushWatcher(registry, self._ledger_of, wants)
        self._targets: list[type[Session] | Session] = []
        self._classes: tuple[type[Session], ...] = ()
        self._instances: WeakSet[Session] = WeakSet()
        # What the transaction of a Session has touched, and which Sessions are committing right now.
        self._open: WeakKeyDictionary[Session, set[Ledger]] = WeakKeyDictionary()
        self._committing: WeakSet[Session] = WeakSet()

    def watch(self, publication: Publication) -> None:
        """Notice the rows of a publication."""
        self._watcher.watch(publication.mapper)

    def enable(self, target: Target) -> None:
        """Listen to the Sessions of a target. Doing so twice changes nothing."""
        if target.listen not in self._targets:
            self._targets.append(target.listen)
            for name in EVENTS:
                event.listen(target.listen, name, getattr(self, f"_{name}"))
            self._index()

    def disable(self, target: Target) -> None:
        """Stop listening; transactions that are open are forgotten when they end."""
        if target.listen in self._targets:
            self._targets.remove(target.listen)
            for name in EVENTS:
                event.remove(target.listen, name, getattr(self, f"_{name}"))
            self._index()

    @property
    def enabled(self) -> bool:
        """Whether any Session is listened to."""
        return bool(self._targets)

    def _index(self) -> None:
        self._classes = tuple(each for each in self._targets if isinstance(each, type))
        self._instances = WeakSet(each for each in self._targets if isinstance(each, Session))

    def _ledger_of(self, session: Session, connection: Connection) -> Ledger | None:
        if not isinstance(session, self._classes) and session not in self._instances:
            return None
        ledger = self._ledgers.of(connection)
        self._open.setdefault(session, set()).add(ledger)
        ledger.owned = session in self._committing
        return ledger

    def _before_flush(self, session: Session, context: Any, instances: Any) -> None:
        self._watcher.start(session)

    def _before_commit(self, session: Session) -> None:
        self._committing.add(session)
        for ledger in self._open.get(session, ()):
            ledger.owned = True

    def _after_commit(self, session: Session) -> None:
        # Also called when a savepoint is released, and when a Session that joined a transaction leaves it: no ticket
        # was taken then, because nothing was committed.
        self._committing.discard(session)
        for ledger in self._open.get(session, ()):
            ledger.owned = False
            if ledger.ticket is not None:
                ledger.ticket.finish(committed=True)
        if not session.in_nested_transaction():
            self._open.pop(session, None)

    def _after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is not None:
            return
        self._committing.discard(session)
        for ledger in self._open.pop(session, ()):
            ledger.owned = False
            if ledger.ticket is not None:
                # A COMMIT began, and neither its success nor its failure was told: another database's COMMIT of the
                # same Session failed, or somebody's listener raised.
                ledger.ticket.doubt()
