"""Whom signed data speaks of, and of whom it does not."""

from __future__ import annotations

import pytest

from sqla_realtime.hub.pusher_person import Person, person_in


@pytest.mark.parametrize(
    ("data", "person"),
    [
        ('{"user_id":"7"}', Person("7")),
        ('{"user_id":7,"user_info":{"a":1}}', Person("7", {"a": 1})),
        ('{"user_id":"7","expires":5.5}', Person("7", None, 5.5)),
        ('{"user_id":"Zoë O."}', Person("Zoë O.")),
        ('{"user_id":"7","watchlist":["8",9,true,null,["x"]]}', Person("7", watched=("8", "9"))),
        ('{"user_id":"7","watchlist":"8"}', Person("7")),
    ],
)
def test_whom_data_speaks_of(data: str, person: Person) -> None:
    assert person_in(data, "user_id") == person


@pytest.mark.parametrize(
    "data",
    [
        "", "x", "[]", "{}", '{"user_id":true}', '{"user_id":null}', '{"user_id":""}', '{"user_id":"\\ud800"}',
        '{"user_id":"a\\nb"}', '{"user_id":"' + "x" * 129 + '"}', "[" * 100_000,
        '{"user_id":"7","expires":"x"}', '{"user_id":"7","expires":NaN}', '{"user_id":"7","expires":1e999}',
        '{"user_id":"7","expires":1' + "0" * 400 + "}", '{"user_id":"7","user_info":1e999}', '{"user_id":"7","user_info":NaN}',
    ],
)  # fmt: skip
def test_of_whom_it_does_not(data: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        person_in(data, "user_id")
