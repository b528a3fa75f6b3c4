"""What declarations raise: what happened, why, and the next keystroke."""

from __future__ import annotations

import pytest

from sqla_realtime.errors import BadPattern, RealtimeError, RuleTwice, SecretColumn, declaration
from tests.errors.family import check_message, raised_by


@pytest.mark.parametrize("cls", raised_by(declaration), ids=lambda cls: cls.code)
def test_a_message_says_what_why_and_the_next_keystroke(cls: type[RealtimeError]) -> None:
    check_message(cls)


def test_braces_in_facts_are_no_templates() -> None:
    assert "'a/{b}'" in str(BadPattern(pattern="a/{b}", reason="{reason}"))
    assert "@realtime.channel('a/{b}')" in str(RuleTwice(pattern="a/{b}"))
    assert '"projects/{project_id}/pages"' in str(BadPattern(pattern="x", reason="y"))


def test_the_whole_text() -> None:
    error = SecretColumn(schema="UserOut", field="pw", model="User", attribute="password")
    assert str(error) == (
        "UserOut.pw would send User.password, whose name looks like a secret.\n"
        'Remove the field. If it is meant to be seen: publish(..., expose=["pw"]). [secret-column]'
    )
