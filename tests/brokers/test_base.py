"""The seam says what it promises: no method of a Broker or a Ticket goes without a sentence, and none has a default."""

from __future__ import annotations

import inspect

import pytest

from sqla_realtime.brokers.base import Broker, Follower, Publisher, Ticket


def test_every_method_says_what_it_promises() -> None:
    for seam in (Publisher, Follower, Broker, Ticket):
        methods = [value for name, value in vars(seam).items() if inspect.isfunction(value) and not name.startswith("_")]
        assert methods
        assert all(inspect.getdoc(method) for method in methods)


def test_a_tier_must_do_all_of_it() -> None:
    promised = {"stage", "begin", "settle", "start", "head", "follow", "enter", "configure", "close"}
    assert Broker.__abstractmethods__ == promised
    with pytest.raises(TypeError, match="abstract"):
        Broker()  # type: ignore[abstract]
