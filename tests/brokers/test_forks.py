"""Forks: whoever is watched is told in the child, and in no parent; who is gone is not."""

from __future__ import annotations

import gc
import os
import warnings

import pytest

from sqla_realtime.brokers import forks


class Thing:
    """Counts how often it was told."""

    def __init__(self) -> None:
        self.told = 0
        forks.watch(self)

    def abandon(self) -> None:
        self.told += 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_the_child_is_told_and_the_parent_is_not() -> None:
    thing = Thing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(thing.told)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert thing.told == 0


def test_nothing_lives_longer_because_it_is_watched() -> None:
    before = len(forks._inherited)
    thing = Thing()
    assert len(forks._inherited) == before + 1
    del thing
    gc.collect()
    assert len(forks._inherited) <= before
