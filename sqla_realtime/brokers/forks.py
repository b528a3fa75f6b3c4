"""Who has to let go of something in a forked child: threads are not there, and connections and ports are the parent's."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """What a child gets a copy of."""

    def abandon(self) -> None:
        """In the child: let go of what is the parent's, without its noticing. Called while no other thread runs; must not wait
        for a lock, which a thread that is not there any more may hold."""


_inherited: WeakSet[Inherited] = WeakSet()


def watch(each: Inherited) -> None:
    """From now on, and for as long as it lives, it is told in every child."""
    _inherited.add(each)


def _after_fork() -> None:
    for each in list(_inherited):
        each.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
