"""What other threads want to have looked up in a log: asked from any thread, answered by the one that has the connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from sqla_realtime.brokers.journal import Journal

T = TypeVar("T")
Question = Callable[[Journal, Connection], T]
# So many are answered before what is new in the log has its turn: there may be no end of them.
AT_ONCE = 100


class Questions:
    """In the order in which they were asked. ``ask`` may be called from any thread, everything else by the one that answers."""

    def __init__(self) -> None:
        self._asked: deque[tuple[Future[Any], Question[Any]]] = deque()

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, question: Question[T]) -> Future[T]:
        """One more."""
        future: Future[T] = Future()
        self._asked.append((future, question))
        return future

    def answer(self, journal: Journal, connection: Connection, begin: Callable[[], None]) -> None:
        """Answer those that wait, or so many of them; ``begin`` is called before each. Where the connection is lost, which
        raises, what is left stays to be answered on the next one."""
        for _ in range(min(len(self._asked), AT_ONCE)):
            future, question = self._asked[0]
            begin()
            if not future.cancelled():
                try:
                    result = question(journal, connection)
                except DBAPIError:
                    raise
                except Exception as error:
                    _resolve(future, error=error)
                else:
                    _resolve(future, result=result)
            self._asked.popleft()

    def refuse(self, error: Exception, count: int) -> None:
        """Answer the first so many that there is no log."""
        for _ in range(min(count, len(self._asked))):
            _resolve(self._asked.popleft()[0], error=error)

    def cancel(self) -> None:
        """Nobody answers any more."""
        while self._asked:
            self._asked.popleft()[0].cancel()


def _resolve(future: Future[Any], result: object = None, error: Exception | None = None) -> None:
    if future.set_running_or_notify_cancel():
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
