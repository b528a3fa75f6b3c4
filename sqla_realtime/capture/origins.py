"""Where rows were before the statements of a flush: read from the database and locked just before each is sent.

The object in memory may be older than its row, and would leave a ghost in the channel that the row was really in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_state

from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.plan import Key, Values
from sqla_realtime.capture.scene import Others, Scene, identity


class RowOrigins:
    """What flushes under way have read and not yet used. Called in the thread of the flush; raises what the database does."""

    def __init__(self) -> None:
        # By Session.hash_key, which no other Session ever gets.
        self._read: dict[int, dict[tuple[Mapper[Any], Key], Values]] = {}

    def forget(self, number: int) -> None:
        """A flush begins or ends: what this Session has read may be old."""
        self._read.pop(number, None)

    def find(self, scene: Scene, key: Key, others: Others, *, key_lock: bool) -> Mapping[str, Any] | None:
        """The stored values that decide the channels of the row ``key``, before its statement is sent; None for no row."""
        self.look(scene, key, others, key_lock=key_lock)
        return self.take(scene, key)

    def take(self, scene: Scene, key: Key) -> Mapping[str, Any] | None:
        """What was read of this row, which is used up with that."""
        return self._read.get(scene.number, {}).pop((scene.mapper, key), None)

    def look(self, scene: Scene, key: Key, others: Others, *, key_lock: bool, whole: bool = False) -> None:
        """Read and lock the row ``key``, as its statement is about to do; ``key_lock`` where that changes the key, ``whole``
        where it changes anything.

        ``others`` are objects whose turn may come in this flush: those of the same model are read along with it, in
        the order in which the flush will come to them, so the locks are taken in the order they would be anyway.
        """
        read = self._read.setdefault(scene.number, {})
        if (scene.mapper, key) not in read:
            states = map(instance_state, others())
            keys = {key, *(identity(each) for each in states if each.mapper is scene.mapper)}
            with aside(scene.connection, scene.ledger):
                found = scene.plan.origins(scene.connection, [*keys], key_lock=key_lock, whole=whole)
            read |= {(scene.mapper, each): values for each, values in found.items()}
