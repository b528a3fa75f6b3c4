"""What a held connection was in: it shrinks while it is held, and never grows."""

from __future__ import annotations

from sqla_realtime.hub.held import Held
from tests.hub.fakes import at


def test_what_is_dropped_is_in_neither() -> None:
    held = Held(at(3), {"a": "p", "b": "p"}, {"c": (7, "q")})
    assert held.patterns == {"a": "p", "b": "p", "c": "q"}
    for name in ("a", "c", "never"):
        held.drop(name)
    assert (held.live, held.waiting, held.patterns) == ({"b": "p"}, {}, {"b": "p"})
