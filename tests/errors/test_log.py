"""What the log raises: what happened, why, and the next keystroke."""

from __future__ import annotations

import pytest

from sqla_realtime.errors import RealtimeError, log
from tests.errors.family import check_message, raised_by


@pytest.mark.parametrize("cls", raised_by(log), ids=lambda cls: cls.code)
def test_a_message_says_what_why_and_the_next_keystroke(cls: type[RealtimeError]) -> None:
    check_message(cls)
