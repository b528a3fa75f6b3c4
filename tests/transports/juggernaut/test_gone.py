"""What a channel has lost lately: the last word on each row counts, and nothing of a log that is lost."""

from __future__ import annotations

from sqla_realtime.history import Bounds
from sqla_realtime.transports.juggernaut.gone import SPARE, Gone
from tests.hub.fakes import at, drop, entry, make_hub, put


def test_a_row_is_gone_until_it_is_there_again() -> None:
    hub = make_hub()
    gone = Gone(hub)
    assert gone.of("a") == {}
    hub.dispatch(entry(1, put("a", 1), drop("a", 2), drop("b", 3)))
    assert gone.of("a") == {("Row", "2"): drop("a", 2)}
    assert gone.of("b") == {("Row", "3"): drop("b", 3)}
    hub.dispatch(entry(2, put("a", 2), drop("a", 1)))
    assert gone.of("a") == {("Row", "1"): drop("a", 1)}
    hub.jump(at(7))
    assert gone.of("a") == {}


def test_what_the_history_has_forgotten_is_forgotten() -> None:
    hub = make_hub(bounds=Bounds(count=3))
    gone = Gone(hub)
    for offset in range(1, SPARE + 9):
        hub.dispatch(entry(offset, drop("a", offset)))
        assert ("Row", str(offset)) in gone.of("a")
    assert len(gone.of("a")) < SPARE
