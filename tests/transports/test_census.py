"""Who is one too many, and that the counts end with those who were counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.transports.census import Census


def test_one_too_many_in_all() -> None:
    census = Census(2, 9)
    assert [census.enter(name, None) for name in "abc"] == [None, None, CloseCode.TOO_MANY_CONNECTIONS]
    census.leave("c")
    assert census.enter("d", None) is CloseCode.TOO_MANY_CONNECTIONS, "who was not counted does not make room"
    census.leave("a")
    census.leave("a")
    assert census.enter("d", None) is None
    assert len(census) == 2


def test_one_too_many_of_an_address() -> None:
    census = Census(9, 2)
    assert [census.enter(name, "1.1.1.1") for name in "abc"] == [None, None, CloseCode.TOO_MANY_FROM_ADDRESS]
    assert census.enter("d", "8.8.8.8") is None
    assert [census.enter(number, None) for number in range(5)] == [None] * 5
    census.leave("b")
    assert census.enter("c", "1.1.1.1") is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from(["1", "2", None]))))
def test_the_counts_are_those_of_who_is_here(events: list[tuple[bool, int, str | None]]) -> None:
    census, here = Census(5, 2), dict[int, str | None]()
    for comes, who, group in events:
        if not comes:
            here.pop(who, None)
            census.leave(who)
        elif who not in here and census.enter(who, group) is None:
            here[who] = group
        assert len(census) == len(here) <= 5
        assert census._sizes == Counter(group for group in here.values() if group is not None)
        assert all(size <= 2 for size in census._sizes.values())
    for who in list(here):
        census.leave(who)
    assert not census._sizes
    assert not census._groups
