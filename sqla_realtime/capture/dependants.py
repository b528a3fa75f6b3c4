"""Rows that the database changes by itself when a flush deletes others or changes their keys, looked at just before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy.orm.attributes import instance_state

from sqla_realtime.capture.cascades import Cascades, rows_with_keys
from sqla_realtime.capture.plan import Key
from sqla_realtime.capture.scene import Others, Scene, identity
from sqla_realtime.schema.references import Reference


class Dependants:
    """Called in the thread of the flush, for each of its rows; raises what the database does."""

    def __init__(self, cascades: Cascades) -> None:
        self._cascades = cascades
        # The rows whose dependants flushes under way have looked at, by Session.hash_key, which no other Session ever gets.
        self._followed: dict[int, set[tuple[Mapper[Any], Key]]] = {}
        # The objects that go because others do.
        self._along: dict[int, set[InstanceState[Any]]] = {}

    def sources(self) -> dict[Table, list[Reference]]:
        """The references that lead to published rows, by the table whose rows they refer to; the same while they are."""
        return self._cascades.sources()

    def forget(self, number: int) -> None:
        """A flush of this Session begins or ends."""
        self._followed.pop(number, None)
        self._along.pop(number, None)

    def goes_along(self, scene: Scene, state: InstanceState[Any]) -> bool:
        """Whether the flush deletes an object because SQLAlchemy's cascades lead to it from another one that it deletes."""
        if scene.number not in self._along:
            leaders = [instance_state(other) for other in scene.session.deleted]
            self._along[scene.number] = {each for leader in leaders for each in _led(leader)}
        return state in self._along[scene.number]

    def deleted(self, scene: Scene, key: Key, others: Others) -> None:
        """This row is about to go, and with it, or after it, what the database lets go by itself.

        ``others`` are objects that the flush deletes too: those of the same model are looked at along with it.
        """
        followed = self._followed.setdefault(scene.number, set())
        if (scene.mapper, key) in followed:
            return
        model = scene.mapper.class_
        keys = {key, *(identity(instance_state(other)) for other in others() if isinstance(other, model))}
        fresh = [each for each in keys if (scene.mapper, each) not in followed]
        followed.update((scene.mapper, each) for each in fresh)
        for rows in rows_with_keys(scene.mapper, fresh):
            self._cascades.deleted(scene.connection, scene.ledger, rows)

    def rekeyed(self, scene: Scene, key: Key, touched: frozenset[str]) -> None:
        """Columns of this row are about to change; others refer to them."""
        sources = scene.plan.sources
        columns = {column for name in touched for column in scene.mapper.attrs[name].columns}
        for rows in rows_with_keys(scene.mapper, [key]):
            for reference in sources.get(rows.table, ()):
                if reference.on_update and not columns.isdisjoint(reference.referred):
                    # The other tables of joined inheritance hold parts of this row, and the key is theirs too.
                    own = {table for table in scene.mapper.tables if table is not rows.table}
                    self._cascades.rekeyed(scene.connection, scene.ledger, rows, own)
                    break


def _led(leader: InstanceState[Any]) -> Iterator[InstanceState[Any]]:
    """What an object takes along of that which it has loaded: Session.delete() has loaded what it cascades to."""
    for relation in leader.mapper.relationships:
        if relation.cascade.delete:
            found = leader.dict.get(relation.key)
            items = found.values() if isinstance(found, dict) else found if relation.uselist else [found]
            yield from (instance_state(item) for item in items or () if item is not None)
