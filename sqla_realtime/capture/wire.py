"""What Connections are about to send, whoever has them send it: savepoints, definitions, statements that no flush sends.

Heard from the dialect: SQLAlchemy asks far more of an engine, at every step of every Connection, once anybody listens to
the engine's own events.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet, ref

from sqlalchemy import Connection, Engine, Select, event
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ReleaseSavepointClause, RollbackToSavepointClause, SavepointClause

from sqla_realtime.capture.ground import DEFINES, Ground
from sqla_realtime.capture.ledger import Ledger, Ledgers
from sqla_realtime.capture.sessions import Sessions
from sqla_realtime.capture.statements import StatementWatcher
from sqla_realtime.capture.tracker import Tracker

_EVENTS = ("do_execute", "do_executemany", "do_execute_no_params")
_SAVEPOINTS: dict[Any, Callable[[Tracker, str], None]] = {
    SavepointClause: lambda tracker, name: tracker.savepoint(name),
    ReleaseSavepointClause: lambda tracker, name: tracker.release(name),
    RollbackToSavepointClause: lambda tracker, name: tracker.rollback(name),
}
# The same, spelled by hand.
_SPELLED = re.compile(
    r"""\s*(?:(?P<set>SAVEPOINT)|(?P<release>RELEASE(?:\s+SAVEPOINT)?)|"""
    r"""(?P<rollback>ROLLBACK(?:\s+(?:WORK|TRANSACTION))?\s+TO(?:\s+SAVEPOINT)?))\s+["`]?(?P<name>\w+)""",
    re.IGNORECASE,
)
# SQLAlchemy puts a space before any other bracket.
_CALL = re.compile(r"\w\(")


class Wire:
    """Follows engines. Called in the thread that uses a Connection; nothing here raises into its statement."""

    def __init__(self, ledgers: Ledgers, statements: StatementWatcher, sessions: Sessions, ground: Ground) -> None:
        self._ledgers = ledgers
        self._statements = statements
        self._sessions = sessions
        self._ground = ground
        self._lock = threading.Lock()
        self._engines: WeakSet[Engine] = WeakSet()
        self._last: Callable[[], Engine | None] = lambda: None

    def listen(self, engine: Engine) -> None:
        """Follow an engine's Connections from now on. SQLAlchemy can't take listeners while others call those that are
        there, so the engines that are known when a target is enabled get them then."""
        if self._last() is engine:
            return
        with self._lock:
            if engine not in self._engines:
                self._engines.add(engine)
                for name in _EVENTS:
                    event.listen(engine, name, getattr(self, f"_{name}"))
                event.listen(engine, "handle_error", self._ledgers.handle_error)
            self._last = ref(engine)

    def _do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        if context is None:
            return  # a default's own SELECT
        compiled = context.compiled
        element = None if compiled is None else compiled.statement
        if type(element) is Select and not compiled.ctes:
            # Most statements. They change nothing, and need not pay for looking up whose they are. A function may write.
            if _CALL.search(statement):
                self._ledgers.meddle(context.root_connection)
            return
        connection = context.root_connection
        users = self._sessions.users(connection)
        if len(users) == 1 and users[0].flushing and "compiled_cache" in context.execution_options:
            # The unit of work's own, which it sends with a cache of its own: the FlushWatcher sees what it does.
            return
        ledger = self._ledgers.peek(connection)
        if ledger is not None and self._is_savepoint(ledger, element, statement):
            return
        if ledger is not None:
            ledger.alone = False
        if not isinstance(element, UpdateBase) and DEFINES.match(statement):
            self._ground.defined(connection.engine)
        for state in users:
            session = state.session()
            if session is not None and not (state.flushing and "compiled_cache" in context.execution_options):
                self._statements.before(session, connection, statement, context)
        self._expect(connection)

    _do_executemany = _do_execute

    def _do_execute_no_params(self, cursor: Any, statement: str, context: Any) -> None:
        self._do_execute(cursor, statement, None, context)

    def _is_savepoint(self, ledger: Ledger, element: Any, statement: str) -> bool:
        """Whether it is about a savepoint; then the tracker was told."""
        act = _SAVEPOINTS.get(type(element))
        if act is not None:
            act(ledger.tracker, element.ident)
            return True
        found = None if isinstance(element, UpdateBase) else _SPELLED.match(statement)
        if found is None:
            return False
        kind = SavepointClause if found["set"] else ReleaseSavepointClause if found["release"] else RollbackToSavepointClause
        _SAVEPOINTS[kind](ledger.tracker, found["name"])
        return True

    def _expect(self, connection: Connection) -> None:
        """Have it said how many rows the statement has changed, where that may be more than were seen."""
        ledger = self._ledgers.peek(connection)
        if ledger is not None and ledger.expected is not None:
            self._ledgers.expect(connection, self._after_cursor_execute)

    def _after_cursor_execute(
        self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        ledger = self._ledgers.peek(connection)
        if ledger is not None and ledger.expected is not None:
            self._statements.after(ledger, cursor.rowcount, context)
