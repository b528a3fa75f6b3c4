"""Entries: several texts of one transaction are one commit, and what can't be read is a place behind which one begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from sqla_realtime.brokers.entries import entries_of
from sqla_realtime.brokers.journal import Written
from sqla_realtime.brokers.spelling import Rows, spell
from sqla_realtime.commit import Commit
from sqla_realtime.errors import PositionGone
from tests.brokers.contract import commit
from tests.hub.fakes import at

NOWHERE = cast(Connection, None)
ROWS = '{"v": 1, "schema": "public", "table": "page", "gone": null, "come": [{"id": 1}], "many": false}'


class Notes:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], Commit]] = []

    def ready(self, connection: Connection) -> None:
        raise NotImplementedError

    def __call__(self, connection: Connection, rows: Sequence[Rows], told: Commit) -> Commit:
        self.asked.append(([each.table for each in rows], told))
        return told


def entries(*texts: str, interpreter: Any = None) -> Any:
    return entries_of([Written(at(5), texts)], at(4), NOWHERE, interpreter)


def test_several_texts_of_a_transaction_are_one_commit() -> None:
    texts = [spell(Commit(commit(number).changes, frozenset({str(number)}), "c-1")).decode() for number in (1, 2)]
    [entry] = entries(*texts)
    assert entry == (at(5), Commit(commit(1).changes + commit(2).changes, frozenset({"1", "2"}), "c-1"))


def test_what_triggers_have_written_is_interpreted_with_what_was_told_besides() -> None:
    notes = Notes()
    told = spell(commit(1)).decode()
    assert entries(ROWS, told, ROWS, interpreter=notes) == [(at(5), commit(1))]
    assert entries(ROWS, interpreter=notes) == [(at(5), Commit(()))]
    assert entries(told, interpreter=notes) == [(at(5), commit(1))]
    assert notes.asked == [(["page", "page"], commit(1)), (["page"], Commit(()))]


@pytest.mark.parametrize("text", ["nonsense", ROWS])
def test_what_cannot_be_read_is_gone_and_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    with pytest.raises(PositionGone) as gone:
        entries(text)
    assert gone.value.facts == {"position": at(4)}
    assert "e.5" in caplog.text
    assert "[log-unreadable]" in caplog.text
