"""Notices what flushes do to published rows: which row, what kind of change, which attributes, and where it was before.

Mapper events, on published models only: they come in the order of the statements, know the Connection, see orphans and
keys that the flush itself writes, and cost other models nothing. The values that decide a row's old channel are read
from the database just before its UPDATE or DELETE, because the object in memory may be older than the row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Table, event, inspect
from sqlalchemy.orm import InstanceState, Mapper, PassiveFlag, Session, object_session
from sqlalchemy.orm.attributes import get_history

from sqla_realtime.capture.cascades import Cascades, rows_with_keys
from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.reader import Origins
from sqla_realtime.schema.references import Reference
from sqla_realtime.schema.registry import Family, Registry

log = logging.getLogger(__name__)

EVENTS = ("before_insert", "after_insert", "before_update", "after_update", "before_delete")

Key = tuple[Any, ...]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where a row was touched. ``wanted``: whether one of its publications has readers."""

    session: Session
    ledger: Ledger
    connection: Connection
    mapper: Mapper[Any]
    family: Family
    wanted: bool


class FlushWatcher:
    """Records a Touch for every published row that a flush inserts, updates or deletes.

    ``ledger_of`` answers None for a Session that is not enabled. ``wants`` tells whether a pattern has readers; where
    none has, nothing is read and the fact alone is recorded.
    """

    def __init__(
        self,
        registry: Registry,
        ledger_of: Callable[[Session, Connection], Ledger | None],
        wants: Callable[[str], bool],
        cascades: Cascades,
        order: Iterator[int],
    ) -> None:
        self._registry = registry
        self._cascades = cascades
        self._ledger_of = ledger_of
        self._wants = wants
        self._order = order
        self._origins: WeakKeyDictionary[Session, dict[tuple[Mapper[Any], Key], Values]] = WeakKeyDictionary()
        self._watched: set[Mapper[Any]] = set()
        self._sources: dict[Table, list[Reference]] = {}
        # The rows whose dependants have been looked at in this flush.
        self._followed: WeakKeyDictionary[Session, set[tuple[Mapper[Any], Key]]] = WeakKeyDictionary()

    def watch(self, mapper: Mapper[Any]) -> None:
        """Listen to a published model and to its subclasses, those mapped later too; to all that may turn into one."""
        family = self._registry.of(mapper)
        if family.kinds != frozenset():
            mapper = family.root
        if self._watched.isdisjoint(mapper.iterate_to_root()):
            self._watched.add(mapper)
            for name in EVENTS:
                event.listen(mapper.class_, name, getattr(self, f"_{name}"), propagate=True)

    def start(self, session: Session) -> None:
        """A flush begins: what an earlier one read may be old."""
        self._origins.pop(session, None)
        self._followed.pop(session, None)
        sources = self._cascades.sources()
        if sources is not self._sources:
            self._sources = sources
            for registry in {each.mapper.registry for each in self._registry}:
                for mapper in registry.mappers:
                    family = self._registry.of(mapper)
                    if family.twins or family.leaves or not sources.keys().isdisjoint(mapper.tables):
                        self.watch(mapper)

    def _before_insert(self, mapper: Mapper[Any], connection: Connection, target: object) -> None:
        self._note(self._switch, mapper, connection, target)

    def _after_insert(self, mapper: Mapper[Any], connection: Connection, target: object) -> None:
        self._note(self._insert, mapper, connection, target)

    def _before_update(self, mapper: Mapper[Any], connection: Connection, target: object) -> None:
        self._note(self._update, mapper, connection, target)

    def _after_update(self, mapper: Mapper[Any], connection: Connection, target: object) -> None:
        if inspect(target).key is None:
            self._note(self._switched, mapper, connection, target)

    def _before_delete(self, mapper: Mapper[Any], connection: Connection, target: object) -> None:
        self._note(self._delete, mapper, connection, target)

    def _note(
        self, note: Callable[[_Scene, object], None], mapper: Mapper[Any], connection: Connection, target: object
    ) -> None:
        session = object_session(target)
        ledger = self._ledger_of(session, connection) if session is not None else None
        if session is None or ledger is None:
            return
        try:
            family = self._registry.of(mapper)
            wanted = any(map(self._wants, family.patterns))
            note(_Scene(session, ledger, connection, mapper, family, wanted), target)
        except Exception:
            # The user's flush goes on. That something happened is remembered, so readers reload instead of guessing.
            log.exception("A changed row of %s could not be noted. [capture-failed]", mapper.class_.__name__)
            ledger.lost.add(mapper)

    def _insert(self, scene: _Scene, target: object) -> None:
        values = inspect(target).dict
        kind = scene.mapper.polymorphic_identity
        # Its class is the object's own, unless somebody wrote another one's discriminator into it.
        own = scene.family.kinds is not None and all(values.get(name, kind) == kind for name in scene.family.kinds)
        touch = Touch("create", scene.mapper, touched=frozenset() if own else None)
        self._record(scene, scene.mapper.primary_key_from_instance(target), touch)

    def _cascade(self, scene: _Scene, key: Key, others: Iterable[object]) -> None:
        """This row is about to go, and with it, or after it, what the database lets go by itself."""
        if not any(table in self._sources for table in scene.mapper.tables):
            return
        followed = self._followed.setdefault(scene.session, set())
        keys = {key, *(_identity(other) for other in others if isinstance(other, scene.mapper.class_))}
        fresh = [each for each in keys if (scene.mapper, each) not in followed]
        followed.update((scene.mapper, each) for each in fresh)
        for rows in rows_with_keys(scene.mapper, fresh):
            self._cascades.deleted(scene.connection, scene.ledger, rows)

    def _rekey(self, scene: _Scene, key: Key, touched: frozenset[str]) -> None:
        """Columns of this row are about to change; others may refer to them."""
        columns = {column for name in touched for column in scene.mapper.attrs[name].columns}
        for rows in rows_with_keys(scene.mapper, [key]):
            for reference in self._sources.get(rows.table, ()):
                if reference.on_update and not columns.isdisjoint(reference.referred):
                    # The other tables of joined inheritance hold parts of this row, and the key is theirs too.
                    own = {table for table in scene.mapper.tables if table is not rows.table}
                    self._cascades.rekeyed(scene.connection, scene.ledger, rows, own)
                    break

    def _switch(self, scene: _Scene, target: object) -> None:
        """A new object may take over the row of one that the same flush deletes: SQLAlchemy makes that one UPDATE."""
        identity = scene.mapper.identity_key_from_instance(target)
        if None in identity[1] or identity not in scene.session.identity_map:
            return
        former = inspect(scene.session.identity_map[identity]).mapper
        if former is not scene.mapper:
            scene.ledger.lost |= {former, scene.mapper}
        if scene.wanted:
            self._look_up(scene, tuple(identity[1]), (), key_lock=False)

    def _switched(self, scene: _Scene, target: object) -> None:
        key = tuple(scene.mapper.primary_key_from_instance(target))
        before = self._origins.get(scene.session, {}).pop((scene.mapper, key), {})
        self._record(scene, key, Touch("update", scene.mapper, before))

    def _update(self, scene: _Scene, target: object) -> None:
        state: InstanceState[Any] = inspect(target)
        old_key, key = _identity(target), tuple(scene.mapper.primary_key_from_instance(target))
        touched = _touched(scene.mapper, state) | scene.family.late
        if not touched:
            return
        self._rekey(scene, old_key, touched)
        # What the object remembers of its row may be older than the row: only the database says what was there.
        before: Values = {}
        if scene.wanted and (old_key != key or not scene.family.decisive.isdisjoint(touched | scene.family.volatile)):
            before = self._origin(scene, old_key, _moving(scene), key_lock=old_key != key) or {}
        if old_key != key:
            self._record(scene, old_key, Touch("destroy", scene.mapper, before))
            self._record(scene, key, Touch("create", scene.mapper))
        else:
            self._record(scene, key, Touch("update", scene.mapper, before, touched | scene.family.volatile))

    def _delete(self, scene: _Scene, target: object) -> None:
        key = _identity(target)
        self._cascade(scene, key, scene.session.deleted)
        before = self._origin(scene, key, scene.session.deleted, key_lock=True) if scene.wanted else {}
        # Somebody else may have deleted the row before: then this DELETE will find nothing, and nothing is to be told.
        if before is not None:
            self._record(scene, key, Touch("destroy", scene.mapper, before))

    def _record(self, scene: _Scene, key: Sequence[Any], touch: Touch) -> None:
        # The same row is published as something else too, in words that this mapper does not know.
        scene.ledger.lost.update(scene.family.twins, scene.family.leaves if touch.kind != "create" else ())
        if not scene.family.observed and not scene.family.shifts(touch.touched or frozenset()):
            return
        touch.order = next(self._order)
        scene.ledger.tracker.record((scene.family.root.class_, tuple(key)), touch)

    def _origin(self, scene: _Scene, key: Key, others: Iterable[object], *, key_lock: bool) -> Values | None:
        """The stored values that decide the channels of the row ``key``, before its statement is sent; None for no row."""
        self._look_up(scene, key, others, key_lock=key_lock)
        return self._origins[scene.session].pop((scene.mapper, key), None)

    def _look_up(self, scene: _Scene, key: Key, others: Iterable[object], *, key_lock: bool) -> None:
        """Read and lock the row ``key``, as its statement is about to do; ``key_lock`` where that changes the key.

        ``others`` are objects whose turn may come in this flush: those of the same model are read along with it, in
        the order in which the flush will come to them, so the locks are taken in the order they would be anyway.
        """
        origins = self._origins.setdefault(scene.session, {})
        if (scene.mapper, key) not in origins:
            keys = {key, *(_identity(other) for other in others if inspect(other).mapper is scene.mapper)}
            with aside(scene.connection, scene.ledger):
                names = sorted(scene.family.decisive)
                found = Origins(scene.mapper, names, key_lock=key_lock)(scene.connection, [*keys])
            origins |= {(scene.mapper, each): values for each, values in found.items()}


def _identity(target: object) -> Key:
    key = inspect(target).key
    return () if key is None else tuple(key[1])


def _moving(scene: _Scene) -> Iterator[object]:
    """The objects that this flush will move like the one at hand; others would be locked for nothing."""
    for other in scene.session.dirty:
        state: InstanceState[Any] = inspect(other)
        if state.mapper is scene.mapper and not scene.family.decisive.isdisjoint(_touched(state.mapper, state)):
            yield other


def _touched(mapper: Mapper[Any], state: InstanceState[Any]) -> frozenset[str]:
    """The column attributes that an UPDATE will set to something else than the object remembers.

    Asked before the UPDATE: afterwards an attribute that was set to a SQL expression has no history any more.
    """
    names = [name for name in state.committed_state if name in mapper.column_attrs]
    histories = {name: get_history(state.obj(), name, PassiveFlag.PASSIVE_NO_INITIALIZE) for name in names}
    return frozenset(name for name, (added, _, deleted) in histories.items() if added or deleted)
