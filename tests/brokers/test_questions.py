"""Questions to a log: answered in order, a wrong one is its own trouble, and none is lost with a connection."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from sqla_realtime.brokers.questions import AT_ONCE, Questions
from sqla_realtime.brokers.sqlite import SqliteJournal
from sqla_realtime.errors import LogMissing


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def nothing() -> None:
    """Begins no step."""


def test_they_are_answered_in_order_and_each_begins_a_step(connection: Connection) -> None:
    questions, seen = Questions(), []
    for number in range(3):
        questions.ask(lambda journal, connection, number=number: seen.append(number))  # type: ignore[misc]
    questions.answer(SqliteJournal(), connection, lambda: seen.append("step"))  # type: ignore[arg-type]
    assert seen == ["step", 0, "step", 1, "step", 2]
    assert len(questions) == 0


def test_what_was_asked_on_a_connection_that_is_lost_is_asked_again(connection: Connection) -> None:
    questions = Questions()
    tries: list[int] = []

    def question(*asked: Any) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("lost", None, OSError())
        return "answered"

    future, cancelled = questions.ask(question), questions.ask(question)
    with pytest.raises(OperationalError):
        questions.answer(SqliteJournal(), connection, nothing)
    cancelled.cancel()
    questions.answer(SqliteJournal(), connection, nothing)
    assert (future.result(0), len(tries)) == ("answered", 2)


def test_whoever_asks_on_and_on_has_no_end_of_turns(connection: Connection) -> None:
    questions = Questions()
    questions.ask(lambda journal, connection: [questions.ask(lambda *asked: None) for _ in range(AT_ONCE + 1)])
    for left in (AT_ONCE + 1, 1, 0):
        questions.answer(SqliteJournal(), connection, nothing)
        assert len(questions) == left


def test_so_many_are_refused_and_whoever_asked_later_is_not(connection: Connection) -> None:
    questions = Questions()
    first, second = questions.ask(lambda *asked: 1), questions.ask(lambda *asked: 2)
    questions.refuse(LogMissing(reason="empty"), 1)
    with pytest.raises(LogMissing):
        first.result(0)
    assert not second.done()
    questions.cancel()
    with pytest.raises(CancelledError):
        second.result(0)
