"""Entries: several texts of one transaction are one commit, and what can't be read is a place behind which one begins."""

from __future__ import annotations

import pytest

from sqla_realtime.brokers.entries import entries_of
from sqla_realtime.brokers.journal import Written
from sqla_realtime.brokers.spelling import spell
from sqla_realtime.commit import Commit
from sqla_realtime.errors import PositionGone
from tests.brokers.contract import commit
from tests.hub.fakes import at


def test_several_texts_of_a_transaction_are_one_commit() -> None:
    texts = [spell(Commit(commit(number).changes, frozenset({str(number)}), "c-1")).decode() for number in (1, 2)]
    [entry] = entries_of([Written(at(5), texts)], at(4))
    assert entry == (at(5), Commit(commit(1).changes + commit(2).changes, frozenset({"1", "2"}), "c-1"))


def test_what_cannot_be_read_is_gone_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PositionGone) as gone:
        entries_of([Written(at(5), ["nonsense"])], at(4))
    assert gone.value.facts == {"position": at(4)}
    assert "e.5" in caplog.text
    assert "[log-unreadable]" in caplog.text
